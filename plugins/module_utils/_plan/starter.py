# SPDX-License-Identifier: Apache-2.0
"""The output of a runner's file: every node's part of a plan, and what else arming a node needs. Private."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Callable, Dict, List, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common import run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._common.raw_words import Word
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import ModelWork, NodePlan, Plan, Relay
from ansible_collections.madctl.multinode.plugins.module_utils._plan.case import Case, Choices


@dataclass(frozen=True)
class Launch:
    """
    What all nodes of a launch share: the case and the choices, and the address and port at which they meet.

    ``network`` is the job's in CIDR notation, None on a single node that needs none.
    """

    case: Case
    choices: Choices
    address: str
    port: int
    network: Optional[str]

    @property
    def world_size(self) -> int:
        """The number of ranks."""
        return sum(self.choices.nprocs)

    def program(self, rank: int, name: str) -> List[Word]:
        """Return the command line of one of our programs on a node."""
        path = "%s/%s/%s" % (self.case.run_dir(rank), run_directory.BIN, name)
        return [self.case.facts[rank]["interpreter"], "-I", "-S", path]


@dataclass
class Part:
    """
    What starts on one node, as far as it is known.

    ``argv`` is what the supervisor executes, empty if it only starts daemons. ``prefix``, written before any program,
    starts ranks of it. The user's variables win over ``env``, and not over ``own_env``.
    """

    env: Dict[str, Word]
    own_env: Dict[str, Word]
    argv: List[Word] = field(default_factory=list)
    prefix: List[Word] = field(default_factory=list)
    rank_argv: Optional[List[Word]] = None
    model: Optional[ModelWork] = None


@dataclass(frozen=True)
class Starter:
    """
    What one runner does.

    ``write`` adds to the parts of all nodes. For one node and a secret of the run, ``files`` returns the text of files
    in its run directory by name, and ``relay`` its part in starting daemons. ``after`` is one of our programs, which
    runs when everything else has ended.
    """

    name: str
    write: Callable[[Launch, List[Part]], None]
    files: Optional[Callable[[Plan, NodePlan, str], Dict[str, str]]] = None
    relay: Optional[Callable[[Plan, NodePlan, str], Relay]] = None
    after: Optional[str] = None


def threads(nproc: int) -> Dict[str, Word]:
    """Return the variable that torchrun also sets, with a banner on every node, unless it is set already."""
    return {"OMP_NUM_THREADS": "1"} if nproc > 1 else {}

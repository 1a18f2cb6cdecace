# SPDX-License-Identifier: Apache-2.0
"""
All checks that are judged before the proof, in the order of their findings. Private to the collection.

A check consists of a row of ``_common/catalog``, an inspection of every node in ``_probe``, and a file here, which is
listed below.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, List, Optional, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem
from ansible_collections.madctl.multinode.plugins.module_utils._plan.case import Case, Choices, Chosen
from ansible_collections.madctl.multinode.plugins.module_utils._plan.checks import (
    clock,
    context,
    entry,
    gpus,
    limits,
    machine,
    madengine,
    mpi,
    names,
    network,
    port,
    python,
    storage,
    versions,
)


@dataclass(frozen=True)
class Check:
    """One check: its ``judge`` finds problems, or makes a choice as well as it can, whatever it finds."""

    name: str
    judge: Optional[Callable[[Case, Choices], List[Problem]]] = None
    choose: Optional[Callable[[Case, Choices], Chosen]] = None


CHECKS: Tuple[Check, ...] = (
    Check("machine", machine.judge),
    Check("python", choose=python.choose),
    Check("entry", choose=entry.choose),
    Check("network", choose=network.choose),
    Check("port", choose=port.choose),
    Check("gpus", choose=gpus.choose),
    Check("mpi", mpi.judge),
    Check("madengine", madengine.judge),
    Check("context", context.judge),
    Check("storage", storage.judge),
    Check("names", names.judge),
    Check("versions", versions.judge),
    Check("limits", limits.judge),
    Check("clock", clock.judge),
)


def run(case: Case) -> Chosen:
    """Run every check, whatever the others find; checks that are not wanted report nothing."""
    choices, found = Choices(), []
    for check in CHECKS:
        is_wanted = case.request.wants(check.name)
        if check.choose:
            choices, problems = check.choose(case, choices)
            found += problems if is_wanted else []
        elif check.judge and is_wanted:
            found += check.judge(case, choices)
    return choices, found

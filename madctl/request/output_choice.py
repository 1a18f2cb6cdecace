# SPDX-License-Identifier: Apache-2.0
"""The choice of whose output a command shows; choices that show nothing are refused."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._request.variables import BY_OPTION
from ansible_collections.madctl.multinode.plugins.module_utils._show import chosen as chosen_output
from ansible_collections.madctl.multinode.plugins.module_utils._show.chosen import Chosen
from madctl.errors import Problem, UsageError, refused


def of_run(options: argparse.Namespace, plan: Any) -> Chosen:
    """
    Return whose output of a run is shown.

    Raises:
        UsageError: If the run has no such node or rank; the message lists those that it has.
    """
    choice = unchecked(options)
    _refuse(chosen_output.problems(choice, plan))
    return choice


def of_launch(options: argparse.Namespace, names: Sequence[str], are_named: bool) -> Chosen:
    """
    Return whose output of a launch will be shown; only the plan tells whether such ranks exist.

    Args:
        names: The nodes that may take part.
        are_named: Whether the user, or a scheduler, named them.

    Raises:
        UsageError: If there is no such node.
    """
    if options.host and not are_named:
        remedy = f"did you mean --hosts {','.join(options.host)}?"
        raise refused("USAGE", "--host only chooses whose output is shown, and no hosts are named", remedy=remedy)
    choice = unchecked(options)
    _refuse(chosen_output.unknown_hosts(choice, names))
    return choice


def unchecked(options: argparse.Namespace) -> Chosen:
    """Return whose output is shown, for a run whose nodes are chosen later."""
    return chosen_output.of(BY_OPTION["--host"].parse(options.host), BY_OPTION["--rank"].parse(options.rank))


def _refuse(found: Sequence[Any]) -> None:
    if found:
        raise UsageError(*(Problem(one["code"], one["message"], remedy=one["remedy"]) for one in found))

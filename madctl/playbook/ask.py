# SPDX-License-Identifier: Apache-2.0
"""Ask nodes once, through a playbook that does nothing else."""

from __future__ import annotations

from typing import Any

from madctl.errors import ExitCode, Problem, RunError
from madctl.nodes.targets import Targets
from madctl.runs.run_record import Record
from madctl.screen.lines import one_line


def nodes(playbook: str, action: str, targets: Targets, variables: dict[str, Any]) -> dict[str, Any]:
    """
    Run a playbook that asks nodes once, and give what ``action`` returned.

    Raises:
        RunError: If Ansible ended without a result.
    """
    from madctl.playbook.engine import Engine

    found: dict[str, Any] = {}

    def on_task(name: str, _: str, result: dict[str, Any]) -> None:
        if name.endswith(action):
            found.update(result)

    with Engine(on_task, lambda *_: None) as engine:
        engine.run(playbook, targets, variables)
        if "nodes" not in found:
            cause = str(found.get("msg") or engine.failure or "it said nothing").rstrip(".")
            message = f"Ansible ended without a result: {one_line(cause)}"
            raise RunError(ExitCode.INTERNAL, Problem("INTERNAL", message, remedy="fix that, then try again"))
    return found


def nodes_of_run(playbook: str, action: str, record: Record, variables: dict[str, Any]) -> dict[str, Any]:
    """
    Run a playbook that asks all nodes of a run once, and give what ``action`` returned.

    Raises:
        RunError: If Ansible ended without a result: then nobody knows anything of the nodes.
    """
    return nodes(playbook, action, record.reach(), {"madctl_plan": record.plan, **variables})

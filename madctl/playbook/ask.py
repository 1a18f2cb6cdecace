# SPDX-License-Identifier: Apache-2.0
"""Ask nodes once: over agents of our own where it is known how they are reached, else through a playbook."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from madctl.errors import ExitCode, Problem, RunError
from madctl.nodes import reach
from madctl.nodes.targets import Targets
from madctl.runs import known_ways, record_store
from madctl.runs.run_record import Record
from madctl.screen.lines import one_line


def nodes(playbook: str, action: str, targets: Targets, variables: dict[str, Any]) -> dict[str, Any]:
    """
    Ask nodes once, and give what the playbook's ``action`` returns.

    Raises:
        RunError: If Ansible ended without a result.
    """
    from madctl.playbook import direct

    targets = known_ways.found(targets)
    ways = reach.ways(targets)
    if ways is not None:
        return direct.ask(playbook, ways, variables)
    return _through_ansible(playbook, action, targets, variables)


def _through_ansible(playbook: str, action: str, targets: Targets, variables: dict[str, Any]) -> dict[str, Any]:
    from madctl.playbook.engine import Engine

    found: dict[str, Any] = {}

    def on_task(name: str, _: str, result: dict[str, Any]) -> None:
        if name.endswith(action):
            found.update(result)

    with Engine(on_task, lambda *_: None) as engine:
        engine.run(playbook, targets, {**variables, "madctl_keep_ways": True})
        if "nodes" not in found:
            cause = str(found.get("msg") or engine.failure or "it said nothing").removeprefix("madctl: ").rstrip(".")
            message = f"Ansible ended without a result: {one_line(cause)}"
            raise RunError(ExitCode.INTERNAL, Problem("INTERNAL", message, remedy="fix that, then try again"))
    return found


def nodes_of_run(
    playbook: str, action: str, record: Record, variables: dict[str, Any]
) -> tuple[dict[str, Any], Record]:
    """
    Ask all nodes of a run once; give what ``action`` returns, and the record, which may know now how they are reached.

    Raises:
        RunError: If Ansible ended without a result: then nobody knows anything of the nodes.
    """
    targets = record.reach()
    found = nodes(playbook, action, targets, {"madctl_plan": record.plan, **variables})
    ways = reach.keep(targets, found.pop("ways", {}))
    if ways is not None:
        record = replace(record, ways=ways)
        record_store.save(record)  # Where it cannot be written, Ansible is asked the next time as well.
    return found, record

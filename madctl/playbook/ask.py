# SPDX-License-Identifier: Apache-2.0
"""Ask nodes: over agents of our own where it is known how they are reached, otherwise through a playbook."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from madctl.errors import ExitCode, Problem, RunError
from madctl.nodes import reach
from madctl.nodes.targets import Targets
from madctl.playbook import EventListener, TaskListener
from madctl.runs import known_ways, record_store
from madctl.runs.run_record import Record
from madctl.screen.lines import one_line

_BY_ANSIBLE_ALONE = ("launch", "check")


def player(playbook: str, targets: Targets, on_task: TaskListener, on_event: EventListener) -> Any:
    """Return what plays a playbook: our own agents where nodes can be reached without Ansible, otherwise Ansible."""
    ways = None if playbook in _BY_ANSIBLE_ALONE else reach.ways(targets)
    if ways is not None:
        from madctl.playbook.direct import Direct

        return Direct(on_task, on_event, ways)
    from madctl.playbook.engine import Engine

    return Engine(on_task, on_event)


def nodes(playbook: str, targets: Targets, variables: dict[str, Any]) -> dict[str, Any]:
    """
    Ask nodes once, and return the result of the playbook's action.

    Raises:
        RunError: If Ansible ended without a result.
    """
    found: dict[str, Any] = {}

    def on_task(name: str, _: str, result: dict[str, Any]) -> None:
        if name.endswith(f"run_{playbook}"):
            found.update(result)

    targets = known_ways.found(targets)
    with player(playbook, targets, on_task, lambda *_: None) as playing:
        playing.run(playbook, targets, {**variables, "madctl_keep_ways": True})
        if "nodes" not in found:
            cause = str(found.get("msg") or playing.failure or "no message").removeprefix("madctl: ").rstrip(".")
            message = f"Ansible ended without a result: {one_line(cause)}"
            raise RunError(ExitCode.INTERNAL, Problem("INTERNAL", message, remedy="fix that, then retry"))
    return found


def nodes_of_run(playbook: str, record: Record, variables: dict[str, Any]) -> tuple[dict[str, Any], Record]:
    """
    Ask all nodes of a run once; return the result, and the record, which may now say how they are reached.

    Raises:
        RunError: If Ansible ended without a result, so the state of the nodes is unknown.
    """
    targets = record.reach()
    found = nodes(playbook, targets, {"madctl_plan": record.plan, **variables})
    ways = reach.keep(targets, found.pop("ways", {}))
    if ways is not None:
        record = replace(record, ways=ways)
        record_store.save(record)  # If it cannot be written, Ansible is asked the next time as well.
    return found, record

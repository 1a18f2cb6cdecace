# SPDX-License-Identifier: Apache-2.0
"""Query nodes: with our own agents if it is known how nodes are reached, otherwise through a playbook."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from madctl.errors import ExitCode, Problem, RunError
from madctl.nodes import reach
from madctl.nodes.inventory import Targets, group_of
from madctl.playbook import EventListener, TaskListener
from madctl.records import record_store
from madctl.records.run_record import Record
from madctl.result import to_problem
from madctl.screen.lines import one_line

_BY_ANSIBLE_ALONE = ("launch", "check")


def player(playbook: str, targets: Targets, on_task: TaskListener, on_event: EventListener) -> Any:
    """Return what runs a playbook: our own agents if nodes can be reached without Ansible, otherwise Ansible."""
    ways = None if playbook in _BY_ANSIBLE_ALONE else reach.ways(targets)
    if ways is not None:
        from madctl.playbook.direct import Direct

        return Direct(on_task, on_event, ways)
    from madctl.playbook.engine import Engine

    return Engine(on_task, on_event)


def nodes(playbook: str, targets: Targets, variables: dict[str, Any]) -> dict[str, Any]:
    """
    Query nodes once, and return the result of the playbook's action, with its ``problems`` as ours.

    Raises:
        RunError: If Ansible ended without a result.
    """
    found: dict[str, Any] = {}

    def on_task(name: str, _: str, result: dict[str, Any]) -> None:
        if name.endswith(f"run_{playbook}"):
            found.update(result)

    targets = with_known_ways(targets)
    with player(playbook, targets, on_task, lambda *_: None) as playing:
        playing.run(playbook, targets, {**variables, "madctl_keep_ways": True})
        if "nodes" not in found:
            cause = str(found.get("msg") or playing.failure or "no message").removeprefix("madctl: ").rstrip(".")
            message = f"Ansible ended without a result: {one_line(cause)}"
            raise RunError(ExitCode.INTERNAL, Problem("INTERNAL", message, remedy="fix that, then retry"))
    return {**found, "problems": list(map(to_problem, found["problems"]))}


def with_known_ways(targets: Targets) -> Targets:
    """Add how nodes are reached, if the records of runs have that for all of them."""
    if targets.reach is not None:
        return targets
    seal = reach.seal(targets)
    ways: dict[str, Any] = {}
    for record in reversed(record_store.known()[0]) if seal is not None else ():
        if record.ways is None or record.ways["seal"] != seal:
            continue
        known = record.ways["ways"]
        same = [name for name in targets.names if name in known and _said(targets, name) == _said(record.reach(), name)]
        ways = {**{name: known[name] for name in same}, **ways}
        if len(ways) == len(targets.names):
            return replace(targets, reach={"seal": seal, "ways": ways})
    return targets


def _said(targets: Targets, name: str) -> dict[str, Any] | None:
    """Return a host's variables in our inventory, except its rank."""
    variables = group_of(targets.inventory)["hosts"].get(name)
    return None if variables is None else {key: variables[key] for key in variables if key != "madctl_node_rank"}


def missing_inventory(record: Record) -> Problem | None:
    """Return a problem if an inventory of a run no longer exists, such as that of a removed lab."""
    gone = next((path for path in record.targets["sources"] if os.path.isabs(path) and not os.path.exists(path)), None)
    if gone is None:
        return None
    message = f"the inventory of run {record.run_id} is gone: {gone}"
    return Problem("NODE_SILENT", message, remedy="its nodes cannot be asked; to forget such runs: madctl gc")


def nodes_of_run(playbook: str, record: Record, variables: dict[str, Any]) -> tuple[dict[str, Any], Record]:
    """
    Query all nodes of a run once; return the result, and the record, to which the ways to nodes may be added.

    Raises:
        RunError: If Ansible ended without a result, so the state of the nodes is unknown.
    """
    targets = record.reach()
    gone = missing_inventory(record)
    if gone:
        raise RunError(ExitCode.UNREACHABLE, gone)
    found = nodes(playbook, targets, {"madctl_plan": record.plan, **variables})
    ways = reach.keep(targets, found.pop("ways", {}))
    if ways is not None:
        # If it cannot be written, Ansible is asked again next time.
        record, _ = record_store.update(replace(record, ways=ways))
    return found, record

# SPDX-License-Identifier: Apache-2.0
"""
What this machine remembers of runs, one file a run: enough to reach its nodes again from a later shell.

A cache: the nodes are the truth. No value of the user's environment is in it.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from madctl.errors import Problem, UsageError
from madctl.inventory import narrowed
from madctl.options import Targets


@dataclass(frozen=True)
class Record:
    """One run: how to reach its nodes, what was planned, and how it ended as far as this machine saw."""

    run_id: str
    created: float
    work: list[Any]
    targets: dict[str, Any]
    plan: dict[str, Any]
    status: str = "running"
    exit_code: int | None = None

    def reach(self) -> Targets:
        """Give the nodes as commands take them."""
        found = self.targets
        # The record keeps spares, too, but a command is for the nodes that the run is on.
        inventory = narrowed(found["inventory"], found["names"])
        return Targets(tuple(found["names"]), inventory, tuple(found["sources"]))

    def base(self) -> dict[str, str]:
        """Give the directory of run directories where it is not the usual one, as a variable of the roles."""
        places = {os.path.dirname(node.get("run_dir") or "") for node in self.plan["nodes"]}
        own = {place for place in places if place and not place.startswith("/var/tmp/madctl-")}
        return {"madctl_run_dir": own.pop()} if len(own) == 1 else {}


def directory() -> Path:
    """Name the directory of records; it is this user's alone."""
    from platformdirs import user_state_path

    return user_state_path("madctl") / "runs"


def create(plan: dict[str, Any], targets: Targets, work: list[Any]) -> Record:
    """Remember a run that is about to start."""
    reach = {"names": _hosts(plan), "inventory": targets.inventory, "sources": targets.sources}
    record = Record(plan["run_id"], time.time(), work, reach, _kept(plan))
    save(record)
    return record


def restarted(record: Record, plan: dict[str, Any]) -> Record:
    """Remember that a run was started anew, on the nodes of another plan."""
    record = replace(record, plan=_kept(plan), targets={**record.targets, "names": _hosts(plan)})
    save(record)
    return record


def _hosts(plan: dict[str, Any]) -> list[str]:
    return [node["host"] for node in plan["nodes"]]


# Command lines, and what a user may have written into them.
_NOT_KEPT = ("env", "argv", "rank_argv", "model")


def results(run_id: str) -> Path:
    """Name the file of all nodes' results of models."""
    return directory() / f"{run_id}.perf.csv"


def _kept(plan: dict[str, Any]) -> dict[str, Any]:
    nodes = [{key: value for key, value in node.items() if key not in _NOT_KEPT} for node in plan["nodes"]]
    left_out = ("nodes", "proof", "hostfile", "work", "restart")
    return {**{key: value for key, value in plan.items() if key not in left_out}, "nodes": nodes}


def save(record: Record) -> None:
    """Write a record whole or not at all."""
    place = directory()
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = place / f".{record.run_id}.{os.getpid()}"
    partial.touch(0o600)
    partial.write_text(json.dumps(asdict(record)))
    partial.replace(place / f"{record.run_id}.json")


def finish(record: Record, status: str, exit_code: int) -> None:
    """Remember how a run ended, or that it goes on without us."""
    save(replace(record, status=status, exit_code=exit_code))


def names() -> list[str]:
    """List the runs that are remembered, oldest first; their names sort by time."""
    return sorted(path.stem for path in directory().glob("*.json"))


def load(run_id: str | None) -> Record:
    """
    Find a run by its id, or the beginning of it; the latest where none is given.

    Raises:
        UsageError: If there is no such run, or several.
    """
    known = names()
    if run_id is None:
        if not known:
            raise UsageError(Problem("RUN_UNKNOWN", "no run is remembered here"))
        found = known[-1:]
    else:
        found = [name for name in known if name.startswith(run_id)]
    if len(found) != 1:
        what = "several runs begin" if found else "no run here begins"
        raise UsageError(Problem("RUN_UNKNOWN", f"{what} with {run_id}", remedy="see madctl ps"))
    return Record(**json.loads((directory() / f"{found[0]}.json").read_text()))

# SPDX-License-Identifier: Apache-2.0
"""
One run as this machine remembers it, and how that is read back from a file that anything may have happened to.

No value of the user's environment is in it.
"""

from __future__ import annotations

import json
import math
import os
import re
from dataclasses import asdict, dataclass, fields
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common.raw_words import unpack
from ansible_collections.madctl.multinode.plugins.module_utils._common.run_directory import is_usual_base
from madctl.nodes import reach
from madctl.nodes.inventory import GROUP, narrowed, wrong_login
from madctl.nodes.targets import Targets

SCHEMA = 1
# An id becomes a file's name, and neither a node nor a file is trusted with paths of this machine.
RUN_ID = re.compile(r"\w[\w.+-]{0,200}", re.ASCII)
_LATEST = 1e11  # seconds since the epoch that a calendar still knows


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
    # How Ansible reached its nodes; see ``nodes.reach``.
    ways: dict[str, Any] | None = None

    def reach(self) -> Targets:
        """Give the nodes as commands take them."""
        found = self.targets
        # The record keeps spares, too, but a command is for the nodes that the run is on.
        inventory = narrowed(found["inventory"], found["names"])
        return Targets(tuple(found["names"]), inventory, tuple(found["sources"]), reach=self.ways)

    def base(self) -> dict[str, str]:
        """Give the directory of run directories where it is not the usual one, as a variable of the roles."""
        places = {os.path.dirname(node.get("run_dir") or "") for node in self.plan["nodes"]}
        own = {place for place in places if place and not is_usual_base(place)}
        return {"madctl_run_dir": own.pop()} if len(own) == 1 else {}


def dumped(record: Record) -> str:
    """Write a record as text."""
    return json.dumps({"schema": SCHEMA, **asdict(record)})


def parsed(run_id: str, text: bytes) -> Record:
    """
    Read a record.

    Raises:
        ValueError: If it is not the record of that run, with what is wrong.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError("it is not JSON") from error
    if not isinstance(data, dict):
        raise ValueError("it is not a record")
    schema = data.get("schema", SCHEMA)
    if schema != SCHEMA:
        raise ValueError(f"its schema is {str(schema)[:20]}: a later madctl wrote it")
    known = {field.name for field in fields(Record)}
    try:
        # A later madctl of the same schema may have more to say.
        record = Record(**{name: value for name, value in data.items() if name in known})
    except TypeError as error:
        raise ValueError("something is missing in it") from error
    if record.run_id != run_id:
        raise ValueError("it is the record of another run")
    return sound(record)


def sound(record: Record) -> Record:
    """
    Give a record back in which everything is what it should be.

    Raises:
        ValueError: If it is not, with the part that is wrong.
    """
    for name, check in _CHECKS.items():
        try:
            fits = check(record)
        except (TypeError, ValueError, KeyError, AttributeError, RecursionError):
            fits = False
        if not fits:
            raise ValueError(f"{name} in it cannot be meant")
    return record


def _is_id(record: Record) -> bool:
    return RUN_ID.fullmatch(record.run_id) is not None


def _is_time(record: Record) -> bool:
    return _is_number(record.created) and math.isfinite(record.created) and 0 <= record.created < _LATEST


def _is_work(record: Record) -> bool:
    words = record.work
    return isinstance(words, list | tuple) and all(isinstance(word, str) or _is_carried(word) for word in words)


def _is_carried(word: Any) -> bool:
    return isinstance(word, dict) and isinstance(unpack(word), str)


def _are_targets(record: Record) -> bool:
    """Tell whether the nodes of the run can be reached with it."""
    names, sources = record.targets["names"], record.targets["sources"]
    group = record.targets["inventory"]["all"]["children"][GROUP]
    hosts = group["hosts"]
    return (
        _are_texts(names)
        and len(set(names)) == len(names) > 0
        and _are_texts(sources)
        and isinstance(group["vars"], dict)
        and all(isinstance(hosts[name], dict) for name in names)
        and wrong_login(record.targets["inventory"]) is None
    )


def _is_plan(record: Record) -> bool:
    """Tell whether what commands take from a plan is there; a run that was restarted goes on with a number."""
    plan, nodes = record.plan, record.plan["nodes"]
    counts = (plan["nnodes"], plan["world_size"])
    return (
        RUN_ID.fullmatch(plan["run_id"]) is not None
        and (plan["run_id"] == record.run_id or plan["run_id"].startswith(record.run_id + "."))
        and isinstance(plan["shape"], str)
        and all(_is_number(count) for count in counts)
        and isinstance(nodes, list | tuple)
        and [node["host"] for node in nodes] == list(record.targets["names"])
        and all(_is_node(node) for node in nodes)
    )


def _is_node(node: Any) -> bool:
    run_dir = node.get("run_dir")
    return (
        isinstance(node["host"], str)
        and (run_dir is None or isinstance(run_dir, str))
        and (node.get("clock_offset") is None or _is_number(node["clock_offset"]))
    )


def _is_end(record: Record) -> bool:
    return isinstance(record.status, str) and (record.exit_code is None or isinstance(record.exit_code, int))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _are_texts(values: Any) -> bool:
    return isinstance(values, list | tuple) and all(isinstance(value, str) for value in values)


def _are_ways(record: Record) -> bool:
    return reach.is_sound(record.ways)


_CHECKS = {
    "run_id": _is_id,
    "created": _is_time,
    "work": _is_work,
    "targets": _are_targets,
    "plan": _is_plan,
    "status": _is_end,
    "ways": _are_ways,
}

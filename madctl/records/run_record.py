# SPDX-License-Identifier: Apache-2.0
"""
The record of one run on this machine, and its parser, which expects that the file may be damaged.

It contains no values of the user's environment.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from dataclasses import asdict, dataclass
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common.manifest import TREE
from ansible_collections.madctl.multinode.plugins.module_utils._common.raw_words import unpack
from ansible_collections.madctl.multinode.plugins.module_utils._common.run_directory import (
    NOTE_LENGTH,
    RUN_NAME,
    is_usual_base,
)
from ansible_collections.madctl.multinode.plugins.module_utils._common.schema import (
    MOST,
    anything,
    either,
    fields,
    like,
    listed,
    mapped,
    maybe,
    number,
    one_of,
    text,
    truth,
    whole,
)
from madctl.nodes import reach
from madctl.nodes.inventory import GROUP, Targets, group_of, narrowed, wrong_login

SCHEMA = 1
# An ID becomes a file name, and neither nodes nor files are trusted with paths of this machine.
RUN_ID = re.compile(r"\w[\w.+-]{0,200}", re.ASCII)
# Empty while the job is being submitted.
JOB_ID = re.compile(r"[0-9]{0,20}|madctl-[a-z0-9.-]{1,56}")
_LATEST = 1e11  # seconds since the epoch; calendar functions accept no later time
_MOST = 64 << 20  # of anything: the file is limited to this size


@dataclass(frozen=True)
class Record:
    """One run: how to reach its nodes, what was planned, and how it ended, as far as this machine saw it."""

    run_id: str
    created: float
    work: list[Any]
    targets: dict[str, Any]
    plan: dict[str, Any]
    status: str = "running"
    exit_code: int | None = None
    # How Ansible reached its nodes; see ``nodes.reach``.
    ways: dict[str, Any] | None = None
    # The user's name for it, and note about it.
    name: str | None = None
    note: str | None = None
    # When the first attempt began, the last one ended, and the run was last known to run; seconds since the epoch.
    began: float | None = None
    ended: float | None = None
    seen: float | None = None
    # What failed first, without output of the job.
    cause: str | None = None
    attempts: int = 1
    # The job of a scheduler that the run is in: ``on``, its ``id``, the ``place`` of its files, and ``conf``, the
    # configuration of its cluster, if that is not the default. If it was submitted on another machine, which then has
    # the files, ``login`` says how to reach that, as ``targets`` does for nodes. In a Kubernetes cluster it has a
    # ``namespace`` instead, and the ``kubeconfig`` and the ``context`` if the user named them.
    job: dict[str, Any] | None = None
    # The command line: ``options``, each with its values, the words of the ``work``, what is ``withheld`` because it
    # may be a secret, and the ``directory``; see ``request.typed``. None if the run was not launched by madctl.
    typed: dict[str, Any] | None = None
    # The code that was sent to its nodes: the identity of its ``tree``, the ``dir`` it comes from, its ``files`` and
    # ``bytes``, and, from git, its ``commit``, its ``branch``, and whether it is ``dirty``.
    code: dict[str, Any] | None = None

    def reach(self) -> Targets:
        """Return the nodes as commands take them."""
        found = self.targets
        # The record also has spares, but commands are for the nodes on which the run is.
        inventory = narrowed(found["inventory"], found["names"])
        return Targets(tuple(found["names"]), inventory, tuple(found["sources"]), reach=self.ways)

    @property
    def shown_job(self) -> dict[str, Any]:
        """Its job as shown to users: a login node only by name, without how it is reached."""
        job = self.job or {}
        return {**job, "login": job["login"]["names"][0]} if job.get("login") else job

    def base(self) -> dict[str, str]:
        """Return the parent of the run directories as a variable of the roles, unless it is the default."""
        places = {os.path.dirname(node.get("run_dir") or "") for node in self.plan["nodes"]}
        own = {place for place in places if place and not is_usual_base(place)}
        return {"madctl_run_dir": own.pop()} if len(own) == 1 else {}


def dumped(record: Record) -> str:
    """Write a record as text."""
    return json.dumps({"schema": SCHEMA, **asdict(record)})


def parsed(run_id: str, content: bytes) -> Record:
    """
    Parse a record.

    Raises:
        ValueError: If it is not the record of that run; the message says what is wrong.
    """
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError("it is not JSON") from error
    if not isinstance(data, dict):
        raise ValueError("it is not a record")
    schema = data.get("schema", SCHEMA)
    if schema != SCHEMA:
        raise ValueError(f"its schema is {str(schema)[:20]}: written by a later madctl")
    known = {field.name for field in dataclasses.fields(Record)}
    try:
        # A later madctl may add fields to the same schema.
        record = Record(**{name: value for name, value in data.items() if name in known})
    except TypeError as error:
        raise ValueError("a field is missing") from error
    if record.run_id != run_id:
        raise ValueError("it is the record of another run")
    return sound(record)


def sound(record: Record) -> Record:
    """
    Return a record if all its parts are valid.

    Raises:
        ValueError: If a part is invalid; the message has its name.
    """
    for name, shape in _SHAPES.items():
        if not shape(getattr(record, name)):
            raise ValueError(f"its {name} is invalid")
    names, plan, inventory = record.targets["names"], record.plan, record.targets["inventory"]
    hosts = group_of(inventory)["hosts"]
    # A waiting job has no nodes yet.
    least = 0 if record.job else 1
    is_reached = len(hosts.keys() & set(names)) == len(names) >= least and wrong_login(inventory) is None
    # The plan of a restarted run has a number after the run's ID.
    is_planned = f"{plan['run_id']}.".startswith(f"{record.run_id}.")
    if not (is_reached and is_planned and [node["host"] for node in plan["nodes"]] == names):
        raise ValueError("its plan and its targets do not match")
    return record


def _text(value: Any) -> bool:
    """Return whether a value is a text; it may contain any characters, because output is made harmless elsewhere."""
    return isinstance(value, str)


def _is_word(value: Any) -> bool:
    """Return whether a value is a word of the work, perhaps one that is not UTF-8; see ``raw_words``."""
    try:
        return isinstance(unpack(value), str) if isinstance(value, dict) else _text(value)
    except (ValueError, TypeError, KeyError):
        return False


_data, _count = mapped(anything, _MOST), number(-MOST, MOST)
_hosts = fields({"hosts": mapped(_data, _MOST), "vars": _data})
_inventory = fields({"all": fields({"children": fields({GROUP: _hosts})})})
_targets = fields({"names": listed(_text, _MOST), "sources": listed(_text, _MOST), "inventory": _inventory})
_node = fields({"host": _text}, {"run_dir": maybe(_text), "clock_offset": maybe(_count)})
_job_id = like(JOB_ID)
_in_slurm = fields({"on": one_of("slurm"), "id": _job_id, "place": _text}, {"conf": _text, "login": _targets})
_in_cluster = fields({"on": one_of("k8s"), "id": _job_id, "namespace": _text}, {"context": _text, "kubeconfig": _text})
_option, _withheld = listed(_is_word, _MOST, 1), like(re.compile(r"--[\w-]+( .*)?", re.DOTALL))
_typed = {"options": listed(_option, _MOST), "work": maybe(listed(_is_word, _MOST)), "directory": _is_word}
_code = fields(
    {"tree": like(TREE), "dir": _text, "files": whole(0, MOST), "bytes": whole(0, MOST)},
    {"commit": maybe(text(64)), "branch": maybe(text(256)), "dirty": maybe(truth)},
)
_SHAPES = {
    "run_id": like(RUN_ID),
    "created": number(0, _LATEST),
    "work": listed(_is_word, _MOST),
    "targets": _targets,
    "plan": fields(
        {
            "run_id": like(RUN_ID),
            "shape": _text,
            "nnodes": _count,
            "world_size": _count,
            "nodes": listed(_node, _MOST),
        }
    ),
    "status": _text,
    "exit_code": maybe(whole(-MOST, MOST)),
    "ways": reach.is_sound,
    "name": maybe(like(RUN_NAME)),
    "note": maybe(text(NOTE_LENGTH)),
    **dict.fromkeys(("began", "ended", "seen"), maybe(number(0, _LATEST))),
    "cause": maybe(_text),
    "attempts": whole(1, MOST),
    "code": maybe(_code),
    "job": maybe(either(_in_slurm, _in_cluster)),
    "typed": maybe(fields({**_typed, "withheld": listed(_withheld, _MOST)})),
}

# SPDX-License-Identifier: Apache-2.0
"""
The shapes of the answers of our functions on nodes; for facts see ``fact_answers``.

They are checked where the answers arrive, so that all other code can rely on keys and types. More keys are allowed.
Pure; private to the collection.
"""

from __future__ import annotations

from typing import Any, Dict

from ansible_collections.madctl.multinode.plugins.module_utils._common import addresses, events, usage
from ansible_collections.madctl.multinode.plugins.module_utils._common.manifest import MOST_ENTRIES
from ansible_collections.madctl.multinode.plugins.module_utils._common.raw_words import is_packed
from ansible_collections.madctl.multinode.plugins.module_utils._common.run_directory import NOTE_LENGTH, RUN_NAME
from ansible_collections.madctl.multinode.plugins.module_utils._common.schema import (
    Shape,
    anything,
    fields,
    like,
    listed,
    mapped,
    maybe,
    number,
    second,
    text,
    truth,
    whole,
)

# No variable of a process can be longer, and no node has more runs.
_LONG, RUNS = 1 << 17, 1 << 16
_BYTES, _ID, _COUNT = whole(0, 1 << 80), whole(0, 1 << 32), whole(0, 1 << 17)
_path, _name = text(_LONG), text(256)
# A child process on a node that missed its deadline.
HUNG = fields({"pid": _ID, "state": maybe(_name), "wait": maybe(text())})
_how: Dict[str, Shape] = {"outcome": text(64), "exit_code": maybe(whole(-1024, 1 << 16)), "stopped": truth}
# The other fields of an exit record that a verdict depends on.
EVIDENCE: Dict[str, Shape] = {
    "signal": maybe(whole(0, 128)),
    "reason": maybe(text(64)),
    "ranks_joined": _COUNT,
    "apart": listed(_COUNT, 1 << 17),
    "left_behind": listed(text(), 1 << 15),
    "trouble": maybe(text(_LONG)),
    "time": second,
}
# Why a node's part of a run ended, see ``_runs.evidence``.
_told: Dict[str, Shape] = {
    "failure": maybe(events.is_told),
    "began": maybe(second),
    "told_to_stop": maybe(second),
    "error": maybe(text()),
    "clock": second,
}
_ending = fields(_how, EVIDENCE)
_record = fields({**_how, "signal": EVIDENCE["signal"]}, EVIDENCE)
_plan: Dict[str, Shape] = {
    **dict.fromkeys(("runner", "shape", "master_addr"), _name),
    **dict.fromkeys(("master_port", "nnodes", "world_size"), number(0, 1e11)),
}
PLAN_KEYS = tuple(_plan)


def _is_word(value: Any) -> bool:
    """Return whether it is a carried word that can be unpacked; see ``raw_words``."""
    return _plain(value) or _packed(value) and is_packed(value)


_plain = text(1 << 20)
_packed = fields({"base64": _plain})


_description = fields(
    {
        "run_id": _name,
        "created": number(0, 1e11),
        "host": _name,
        "node_rank": whole(0, 100000),
        "hosts": listed(_name, 100000),
        "work": listed(_is_word, 1 << 16),
        "plan": fields(_plan),
    },
    {"addresses": maybe(listed(_name, 100000)), "name": maybe(like(RUN_NAME)), "note": maybe(text(NOTE_LENGTH))},
)


def is_described(value: Any) -> bool:
    """Return whether it is the description of a run that lists this node among its hosts."""
    if not _description(value) or value["plan"]["nnodes"] != len(value["hosts"]):
        return False
    addresses = value.get("addresses")
    return bool(value["node_rank"] < len(value["hosts"]) and (not addresses or len(addresses) == len(value["hosts"])))


def is_run_id(value: Any) -> bool:
    """Return whether it can be a run's id, which becomes the name of a directory on this machine."""
    return type(value) is str and value.isprintable() and 0 < len(value) < 256 and "/" not in value and value[0] != "."


_run = fields(
    {
        "run_id": is_run_id,
        "run_dir": _path,
        "state": text(64),
        "exit": maybe(_ending),
        "described": maybe(is_described),
    },
    _told,
)
_tried = fields({"port": whole(0, 65535), "error": maybe(text())})


def _is_read(value: Any) -> bool:
    """Return whether it is the result of a child with a deadline: a value, an error, or that it hung."""
    return type(value) is dict and any(name in value and shape(value[name]) for name, shape in _READ.items())


_READ: Dict[str, Shape] = {"value": mapped(maybe(text()), 100000), "error": text(_LONG), "hung": HUNG}


_proof = fields(
    {},
    {
        "listen": maybe(text()),
        "connect": listed(_tried, 16),
        "read": listed(_is_read, 1024),
        "peers": mapped(_name, 100000),
        "routes": maybe(mapped(listed(addresses.is_address, 100000, least=1), 4096, text(64))),
    },
)
_left = listed(text(), 1 << 15)
_stuck = fields({"path": text(), "reason": text()})
_removed = fields({"run_id": _name, "bytes": _BYTES})
_programs = fields({"name": _name, "bytes": _BYTES})

_problem = fields(
    {"code": text(64), "host": maybe(text()), "message": text(_LONG), "remedy": maybe(text(_LONG))},
)

_node_in_job = fields({"state": text(64), "joined": _COUNT, "exit": maybe(fields(_how, EVIDENCE))})

# By function; ``tail`` and ``pack`` only answer with errors.
SHAPES: Dict[str, Shape] = {
    "node_info": fields({"node": anything}),
    "store": fields({"place": maybe(_path)}),
    "arm": fields({"container": text(), "proof": _proof}),
    "prove": _proof,
    "release": anything,
    "look": fields(
        {
            "state": text(64),
            "exit": maybe(_record),
            "supervisor": maybe(_ID),
            "container": maybe(text()),
            "storage": maybe(text()),
            "processes": _COUNT,
            "joined": _COUNT,
        },
        _told,
    ),
    "measure": fields(
        {"state": text(64), "measured": maybe(usage.is_measured), "kept": maybe(usage.is_sample)},
    ),
    "end": fields({"changed": truth, "known": truth, "left": _left}),
    "stop_now": fields({"left": _left}),
    "leave": fields({"still": maybe(text(_LONG))}),
    "is_alive": fields({"alive": truth}),
    "survey": fields({"runs": listed(anything, RUNS)}),
    "alive": fields({"alive": listed(text(_LONG), 1 << 20)}),
    "clear": fields(
        {
            "removed": listed(_removed, RUNS),
            "programs": listed(_programs, RUNS),
            "held": listed(_name, RUNS),
            "stuck": listed(_stuck, 1 << 17),
        }
    ),
    "tail": anything,
    "pack": anything,
    # On a login node.
    "submit_job": fields(
        {"problem": maybe(_problem), "changed": truth, "wants_files": truth},
        {
            "job_id": maybe(text(64)),
            "place": _path,
            "said": listed(text(_LONG), 1 << 10),
            "argv": listed(text(_LONG), 1 << 10),
            "script": text(_LONG),
        },
    ),
    "end_job": fields(
        {"problem": maybe(_problem), "changed": truth},
        {"run_id": is_run_id, "job_id": maybe(text(64)), "place": _path, "had_begun": truth},
    ),
    "look_at_job": fields(
        {"problem": maybe(_problem)},
        {
            "run_id": is_run_id,
            "job_id": text(64),
            "run_dir": _path,
            "status": text(64),
            "exit_code": maybe(whole(0, 255)),
            "cause": maybe(text(_LONG)),
            "error": maybe(text(_LONG)),
            "host": maybe(text()),
            "rank": maybe(_COUNT),
            "began": maybe(second),
            "ended": maybe(second),
            "nodes": mapped(_node_in_job, 1 << 17),
            "plan": maybe(anything),
        },
    ),
    "follow_job": anything,
}
_files = listed(listed(whole(0, MOST_ENTRIES), 2, least=2), MOST_ENTRIES)
NEWS: Shape = fields(
    {},
    {
        "listening": listed(whole(1, 65535), 2),
        **dict.fromkeys(("armed", "archive", "frames", "lacks"), truth),
        "missing": _files,
        "taken": _COUNT,
    },
)
_failure = fields({"msg": text(_LONG)})


def checked(function: str, answer: Dict[str, Any]) -> Dict[str, Any]:
    """Return an answer if it has its function's shape, otherwise one that ``failed`` with ``msg``."""
    if answer.get("failed"):
        found = {"failed": True, "msg": answer["msg"] if _failure(answer) else "it failed without a reason"}
        # The run was stopped in the meantime; the user's setup is what failed.
        return {**found, **{name: answer[name] for name in ("stopped", "setup") if truth(answer.get(name))}}
    if SHAPES[function](answer):
        # One malformed run does not affect the others.
        return dict(answer, runs=[*filter(_run, answer["runs"])]) if function == "survey" else answer
    return {"failed": True, "msg": "it gave a malformed answer to %s" % function}

# SPDX-License-Identifier: Apache-2.0
"""
What a node may answer when one of our functions is called there: the shape of every result.

It is checked where the answer comes in, so that nobody who judges has to doubt a key or a type. More keys
may be there. Pure; private to the collection.
"""

from __future__ import annotations

import re
import socket
from ipaddress import ip_address
from typing import Any, Dict, List, Optional

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

# A process has no longer variable, and a node no more runs.
_LONG, RUNS = 1 << 17, 1 << 16
_BYTES, _ID, _COUNT = whole(0, 1 << 80), whole(0, 1 << 32), whole(0, 1 << 17)
_path, _name = text(_LONG), text(256)
_PROOF_FILE = re.compile(r"[A-Za-z0-9._-]{1,100}")

# -- the probe --------------------------------------------------------------------------------------


def _is_address(value: Any) -> bool:
    try:
        return type(value) is str and len(value) < 64 and bool(ip_address(value))
    except ValueError:
        return False


_pair = fields({"address": text(64), "prefix": whole(0, 128)})
# Where a cluster's services are balanced by IPVS, one device of every node has all their addresses.
_ADDRESSES = 1 << 16


def _is_interface(value: Any) -> bool:
    """Tell whether it is an address with its prefix; there may be many, and the C library is faster than ipaddress."""
    if not _pair(value):
        return False
    is_long = ":" in value["address"]
    try:
        socket.inet_pton(socket.AF_INET6 if is_long else socket.AF_INET, value["address"])
    except (OSError, ValueError):
        return False
    return bool(is_long or value["prefix"] <= 32)


_device = fields(
    {
        "name": _name,
        "flags": listed(_name, 64),
        "addresses": listed(_is_interface, _ADDRESSES),
        "mtu": maybe(whole(0, 1 << 32)),
        **dict.fromkeys(("physical", "bridge", "bond"), truth),
        "master": maybe(_name),
        "lower": listed(_name, 4096),
    },
    {"vrf": truth, "rdma": truth, "kind": maybe(_name), "peer": maybe(_name)},
)
_devices = listed(_device, 4096)


def _is_route(value: Any) -> bool:
    """Tell whether it is a network, the length of its prefix, and the devices that it is reached over."""
    return type(value) is list and len(value) == 3 and _is_ipv4(value[0]) and _prefix(value[1]) and _names(value[2])


def _is_ipv4(value: Any) -> bool:
    return _is_address(value) and ":" not in value


_prefix, _names = whole(0, 32), listed(_name, 64)


def _are_devices(value: Any) -> bool:
    """Tell whether these are devices, of which few stand on many, with no more addresses than can be judged."""
    if not _devices(value) or sum(len(device["lower"]) for device in value) > 8192:
        return False
    return sum(len(device["addresses"]) for device in value) <= _ADDRESSES


_report = fields(
    {"torch": truth, "version": _name},
    {
        "module": maybe(truth),
        "packages": mapped(text(), 256),
        "torch_build": maybe(mapped(text(), 16)),
    },
)
_mpi = fields({"program": _path, "text": text()})
_python = fields(
    {"wanted": maybe(_path), "own": maybe(_path), "wanted_exists": truth, "own_exists": truth},
    {"wanted_report": maybe(_report), "own_report": maybe(_report), "mpi": maybe(_mpi)},
)
_holder = fields(
    {
        "pid": _ID,
        "user": _name,
        "command": text(),
        "age_seconds": maybe(number(-(1 << 40))),
        "run_id": maybe(text()),
    },
    {"gpus": listed(whole(0, 4096), 4096)},
)
_denied = fields({"path": text(), "group": maybe(_name)})
_gpus = fields(
    {"vendor": maybe(_name), "count": whole(0, 4096)},
    {
        "models": listed(_name, 4096),
        "driver": maybe(_name),
        "holders": listed(_holder, 1 << 14),
        "note": maybe(text()),
        "uuids": listed(_name, 4096),
        "dead": listed(text(), 4096),
        "denied": listed(_denied, 4096),
    },
)
_space = fields(
    {
        "run_base": _path,
        "run_free": _BYTES,
        "run_inodes_free": maybe(_BYTES),
        "run_writable": truth,
        "shm_free": maybe(_BYTES),
    }
)
_limit = maybe(whole(-1, 1 << 80))
_container = fields({"name": text(), "created": maybe(text()), "run_id": maybe(text())})
_madengine = fields(
    {
        **dict.fromkeys(("program", "version", "broken", "runtime", "trouble", "gpu_tool"), maybe(text(_LONG))),
        "containers": listed(_container, 1 << 14),
    },
    {"silent": truth},
)
_model = fields(
    {"name": _name, "scripts": maybe(text()), "timeout": maybe(number(-(1 << 53))), "uses_runner": maybe(truth)}
)
_hung = fields({"pid": _ID, "state": maybe(_name), "wait": maybe(text())})
# Overlays name all their layers here.
_words = listed(text(_LONG), 1 << 14)
_mount_parts: Dict[str, Shape] = {
    "fstype": _name,
    "point": _path,
    "root": _path,
    "source": text(_LONG),
    "options": _words,
    "super_options": _words,
}
_mount_more: Dict[str, Shape] = {
    **_mount_parts,
    "real": _path,
    "exists": truth,
    **dict.fromkeys(("access_error", "access_errno", "write_error", "mark"), maybe(text())),
    "file": like(_PROOF_FILE),
    "nonce": _name,
    "janitor": whole(1, 1 << 32),
    "writable": truth,
}
_any_mount = fields({"path": _path, "read_only": truth, "hung": maybe(_hung), "error": maybe(text(_LONG))}, _mount_more)


def _is_mount(value: Any) -> bool:
    """Tell whether it describes a mount as far as a look at it came: what is there has a place and a type."""
    # That a path is proven is what we say of it, never a node.
    if not _any_mount(value) or "proven" in value or "file" in value and not {"nonce", "janitor"} <= set(value):
        return False
    if value["hung"] or value["error"] or value.get("access_error"):
        return True
    return "exists" in value and (not value["exists"] or {*_mount_parts, "real"} <= set(value))


FACTS: Dict[str, Shape] = {
    "hostname": _name,
    "machine_id": maybe(_name),
    "boot_id": maybe(_name),
    "kernel": _name,
    "user_id": _ID,
    "group_id": _ID,
    "home": _path,
    "interpreter": _path,
    "ifconfig": maybe(_path),
    "interfaces": _are_devices,
    "management_address": maybe(_is_address),
    "port": fields({"free": whole(1, 65535), "error": maybe(text()), "holder": maybe(text())}),
    "privileged_below": whole(0, 65536),
    "limits": fields({"memlock": _limit, "nofile": _limit}),
    "files": maybe(
        fields(
            {"chdir_exists": truth, "entry_exists": maybe(truth)},
            {"entry_sha256": maybe(_name), "program_fault": maybe(text())},
        )
    ),
    "python": maybe(_python),
    "names": maybe(listed(_name, 1024)),
    "gpus": _gpus,
    "space": maybe(_space),
    "nccl_files": maybe(mapped(text(1 << 16), 64)),
    "mpi": maybe(_mpi),
    "locked_by": maybe(text()),
    "mounts": listed(_is_mount, 1024),
    "time": fields({"begun": second, "ended": second}),
}
_MORE_FACTS: Dict[str, Shape] = {
    "ifconfig_error": maybe(text()),
    "routes": maybe(listed(_is_route, 1 << 14)),
    "visible": mapped(text(_LONG), 64),
    "madengine": maybe(_madengine),
    "models": maybe(listed(_model, 1024)),
    "trouble": mapped(anything, 1024),
}


def odd_fact(node: Any, paths: List[str]) -> Optional[str]:
    """
    Name what is odd about the facts of a node; None where they are what the probe gives.

    Args:
        paths: The shared paths that were asked for: a node that leaves one out would hide it of all.
    """
    if type(node) is not dict:
        return "all of it"
    for name, shape in FACTS.items():
        if name not in node or not shape(node[name]):
            return name
    for name, shape in _MORE_FACTS.items():
        if name in node and not shape(node[name]):
            return name
    wanted = [path[:-3] if path.endswith(":ro") else path for path in paths]
    return None if [mount["path"] for mount in node["mounts"]] == wanted else "mounts"


def dated(node: Dict[str, Any], times: Dict[str, float]) -> Dict[str, Any]:
    """Give facts with our own times of asking beside the node's; nobody else knows those."""
    return {**node, "time": {"begun": node["time"]["begun"], "ended": node["time"]["ended"], **times}}


# -- everything else --------------------------------------------------------------------------------

_how: Dict[str, Shape] = {"outcome": text(64), "exit_code": maybe(whole(-1024, 1 << 16)), "stopped": truth}
# What else of an exit record a verdict rests on.
EVIDENCE: Dict[str, Shape] = {
    "signal": maybe(whole(0, 128)),
    "reason": maybe(text(64)),
    "ranks_joined": _COUNT,
    "apart": listed(_COUNT, 1 << 17),
    "left_behind": listed(text(), 1 << 15),
    "trouble": maybe(text(_LONG)),
}
_ending = fields(_how, EVIDENCE)
_record = fields({**_how, "signal": EVIDENCE["signal"]}, EVIDENCE)
_described_plan = fields(
    {
        **dict.fromkeys(("runner", "shape", "master_addr"), _name),
        **dict.fromkeys(("master_port", "nnodes", "world_size"), number(0, 1e11)),
    }
)


def _is_word(value: Any) -> bool:
    """Tell whether it is a word as it is carried; see ``raw_words``."""
    return _plain(value) or _packed(value)


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
        "plan": _described_plan,
    },
    {"addresses": maybe(listed(_name, 100000))},
)


def is_described(value: Any) -> bool:
    """Tell whether it is the description of a run that has this node among its hosts."""
    if not _description(value) or value["plan"]["nnodes"] != len(value["hosts"]):
        return False
    addresses = value.get("addresses")
    return bool(value["node_rank"] < len(value["hosts"]) and (not addresses or len(addresses) == len(value["hosts"])))


def is_run_id(value: Any) -> bool:
    """Tell whether it can be a run's id, which becomes the name of a directory here."""
    return type(value) is str and value.isprintable() and 0 < len(value) < 256 and "/" not in value and value[0] != "."


_run = fields(
    {
        "run_id": is_run_id,
        "run_dir": _path,
        "state": text(64),
        "exit": maybe(_ending),
        "described": maybe(is_described),
    }
)
_tried = fields({"port": whole(0, 65535), "error": maybe(text())})


def _is_read(value: Any) -> bool:
    """Tell whether it is what a child with a deadline gave: a value, an error, or that it hung."""
    return type(value) is dict and any(name in value and shape(value[name]) for name, shape in _READ.items())


_READ: Dict[str, Shape] = {"value": mapped(maybe(text()), 100000), "error": text(_LONG), "hung": _hung}


_proof = fields(
    {},
    {
        "listen": maybe(text()),
        "connect": listed(_tried, 16),
        "read": listed(_is_read, 1024),
        "peers": mapped(_name, 100000),
        "routes": maybe(mapped(listed(_is_address, 100000), 4096, text(64))),
    },
)
_left = listed(text(), 1 << 15)
_stuck = fields({"path": text(), "reason": text()})
_removed = fields({"run_id": _name, "bytes": _BYTES})
_programs = fields({"name": _name, "bytes": _BYTES})

# By function; ``tail`` and ``pack`` answer only why they cannot.
SHAPES: Dict[str, Shape] = {
    "node_info": fields({"node": anything}),
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
        }
    ),
    "end": fields({"changed": truth, "known": truth, "left": _left}),
    "stop_now": fields({"left": _left}),
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
}
NEWS: Shape = fields(
    {}, {"listening": listed(whole(1, 65535), 2), **dict.fromkeys(("armed", "archive", "frames"), truth)}
)
_failure = fields({"msg": text(_LONG)})


def checked(function: str, answer: Dict[str, Any]) -> Dict[str, Any]:
    """Give an answer that has the shape of that function's, or one that it ``failed`` with ``msg``."""
    if answer.get("failed"):
        found = {"failed": True, "msg": answer["msg"] if _failure(answer) else "it failed, and does not say why"}
        # Of arming: the run was stopped in the meantime.
        return dict(found, stopped=answer["stopped"]) if truth(answer.get("stopped")) else found
    if SHAPES[function](answer):
        # One odd run costs none of the others.
        return dict(answer, runs=[*filter(_run, answer["runs"])]) if function == "survey" else answer
    return {"failed": True, "msg": "it answers something else than what %s gives" % function}

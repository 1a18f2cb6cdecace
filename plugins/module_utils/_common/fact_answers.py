# SPDX-License-Identifier: Apache-2.0
"""
The shape of what the probe of a node may answer; ``fact_shapes`` has the same facts as types.

It is checked where the answer arrives, so that no other code has to doubt a key or a type. More keys are allowed.
Pure; private to the collection.
"""

from __future__ import annotations

import re
import socket
from typing import Any, Dict, List, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common import addresses
from ansible_collections.madctl.multinode.plugins.module_utils._common.node_answers import HUNG
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

_LONG = 1 << 17  # A process has no longer variable.
_BYTES, _ID = whole(0, 1 << 80), whole(0, 1 << 32)
_path, _name = text(_LONG), text(256)
_PROOF_FILE = re.compile(r"[A-Za-z0-9._-]{1,100}")

_pair = fields({"address": text(64), "prefix": whole(0, 128)})
# Where IPVS balances a cluster's services, one device of every node has all their addresses.
_ADDRESSES = 1 << 16


def _is_interface(value: Any) -> bool:
    """Return whether it is an address with a prefix; with many of them the C library is faster than ipaddress."""
    if not _pair(value):
        return False
    family = addresses.family(value["address"])
    try:
        socket.inet_pton(family, value["address"])
    except (OSError, ValueError):
        return False
    return bool(family == socket.AF_INET6 or value["prefix"] <= 32)


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


_prefix, _names = whole(0, 32), listed(_name, 64)


def _is_route(value: Any) -> bool:
    """Return whether it is an IPv4 network, the length of its prefix, and the devices that lead to it."""
    if type(value) is not list or len(value) != 3 or not addresses.is_address(value[0]) or ":" in value[0]:
        return False
    return _prefix(value[1]) and _names(value[2])


def _are_devices(value: Any) -> bool:
    """Return whether these are devices, with a bounded number of lower devices and addresses in all."""
    if not _devices(value) or sum(len(device["lower"]) for device in value) > 8192:
        return False
    return sum(len(device["addresses"]) for device in value) <= _ADDRESSES


_report = fields(
    {"torch": truth, "version": _name},
    {"module": maybe(truth), "packages": mapped(text(), 256), "torch_build": maybe(mapped(text(), 16))},
)
_mpi = fields({"program": _path, "text": text()})
_python = fields(
    {"wanted": maybe(_path), "own": maybe(_path), "wanted_exists": truth, "own_exists": truth},
    {"wanted_report": maybe(_report), "own_report": maybe(_report), "mpi": maybe(_mpi)},
)
_holder = fields(
    {"pid": _ID, "user": _name, "command": text(), "age_seconds": maybe(number(-(1 << 40))), "run_id": maybe(text())},
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
        "run_writable": truth,
        "run_free": _BYTES,
        **dict.fromkeys(("run_inodes_free", "shm_free"), maybe(_BYTES)),
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
# Overlays list all their layers here.
_words = listed(text(_LONG), 1 << 14)
_mount_parts: Dict[str, Shape] = {
    "fstype": _name,
    **dict.fromkeys(("point", "root", "source"), _path),
    **dict.fromkeys(("options", "super_options"), _words),
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
_any_mount = fields({"path": _path, "read_only": truth, "hung": maybe(HUNG), "error": maybe(text(_LONG))}, _mount_more)


def _is_mount(value: Any) -> bool:
    """Return whether it describes a mount, as far as it could be inspected."""
    # Whether a path is proven is never decided by a node.
    if not _any_mount(value) or "proven" in value or "file" in value and not {"nonce", "janitor"} <= set(value):
        return False
    if value["hung"] or value["error"] or value.get("access_error"):
        return True
    return "exists" in value and (not value["exists"] or {*_mount_parts, "real"} <= set(value))


FACTS: Dict[str, Shape] = {
    **dict.fromkeys(("hostname", "kernel"), _name),
    **dict.fromkeys(("machine_id", "boot_id"), maybe(_name)),
    **dict.fromkeys(("user_id", "group_id"), _ID),
    **dict.fromkeys(("home", "interpreter"), _path),
    "ifconfig": maybe(_path),
    "interfaces": _are_devices,
    "management_address": maybe(addresses.is_address),
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
    Return the name of a malformed fact of a node; None where all are what the probe returns.

    Args:
        paths: The requested shared paths: a node that leaves one out would hide it for all nodes.
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
    """Return facts with our own times of the request beside the node's times."""
    return {**node, "time": {"begun": node["time"]["begun"], "ended": node["time"]["ended"], **times}}

# SPDX-License-Identifier: Apache-2.0
"""
Check facts where they arrive, by the types in ``fact_shapes``, so that all other code can rely on keys and types.

This file has the bounds or the rule of each name in those types, such as ``Path``. More keys are allowed. Runs on the
login node only. Pure; private to the collection.
"""

from __future__ import annotations

import re
import socket
from typing import Any, Callable, Dict, List, Optional, get_args, get_origin, get_type_hints

from ansible_collections.madctl.multinode.plugins.module_utils._common import addresses, fact_shapes
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

_LONG = 1 << 17  # No variable of a process can be longer.
_MOST_ITEMS, _MOST_KEYS = 1 << 14, 1024
# If IPVS balances a cluster's services, one device of every node has the addresses of all of them.
_MOST_ADDRESSES, _MOST_LOWER = 1 << 16, 8192
# Overlays list all their layers in their options.
_ENTRY = {"fstype", "point", "root", "source", "options", "super_options"}


def _of(hint: Any) -> Shape:
    """Return the shape of a type's values; a bounded name already is one."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is list:
        return listed(_of(parts[0]), _MOST_ITEMS)
    if origin is dict:
        return mapped(_of(parts[1]), _MOST_KEYS)
    if parts:
        return maybe(_of(parts[0]))
    return anything if hint is Any else hint if not isinstance(hint, type) else _parts(hint)


def _shapes_of(typed: Any) -> Dict[str, Shape]:
    return {name: _of(hint) for name, hint in get_type_hints(typed, localns=_BOUNDS).items()}


def _parts(typed: Any) -> Shape:
    """Return the shape of objects of a TypedDict."""
    known = _shapes_of(typed)
    required = {name: shape for name, shape in known.items() if name in typed.__required_keys__}
    return fields(required, {name: shape for name, shape in known.items() if name not in required})


def _is_address(value: Any) -> bool:
    """Return whether it is an address with a prefix; with many of them the C library is faster than ipaddress."""
    if not _pair(value):
        return False
    family = addresses.family(value["address"])
    try:
        socket.inet_pton(family, value["address"])
    except (OSError, ValueError):
        return False
    return bool(family == socket.AF_INET6 or value["prefix"] <= 32)


def _is_route(value: Any) -> bool:
    """Return whether it is an IPv4 network, the length of its prefix, and the devices that lead to it."""
    if type(value) is not list or len(value) != 3 or not addresses.is_address(value[0]) or ":" in value[0]:
        return False
    return _prefix(value[1]) and _names(value[2])


def _are_devices(value: Any) -> bool:
    """Return whether these are devices, with a bounded total of lower devices and addresses."""
    if not _devices(value) or sum(len(device["lower"]) for device in value) > _MOST_LOWER:
        return False
    return sum(len(device["addresses"]) for device in value) <= _MOST_ADDRESSES


def _is_mount(value: Any) -> bool:
    """Return whether it describes a mount, as far as it could be inspected."""
    # A node never decides whether a path is proven.
    if not _any_mount(value) or "proven" in value or "file" in value and not {"nonce", "janitor"} <= set(value):
        return False
    known = _ENTRY & set(value)
    if known and known != _ENTRY:
        return False  # They are from one line of the table of mounts.
    if value["hung"] or value["error"] or value.get("access_error"):
        return True
    return "exists" in value and (not value["exists"] or bool(known) and "real" in value)


_name, _prefix = text(256), whole(0, 32)
_names = listed(_name, 64)
_BOUNDS: Dict[str, Callable[[Any], bool]] = {
    "str": text(),
    "int": whole(),
    "bool": truth,
    "Name": _name,
    "Path": text(_LONG),
    "Variable": text(_LONG),
    "File": text(1 << 16),
    "ProofFile": like(re.compile(r"[A-Za-z0-9._-]{1,100}")),
    "Ip": addresses.is_address,
    "Id": whole(0, 1 << 32),
    "Pid": whole(1, 1 << 32),
    "Index": whole(0, 4096),
    "Bytes": whole(0, 1 << 80),
    "Limit": whole(-1, 1 << 80),
    "PortNumber": whole(0, 65536),
    "Prefix": whole(0, 128),
    "Mtu": whole(0, 1 << 32),
    "Second": second,
    "Number": number(-(1 << 53)),
    "Words": listed(text(_LONG), _MOST_ITEMS),
    "Addresses": listed(_is_address, _MOST_ADDRESSES),
    "Route": _is_route,
    "Devices": _are_devices,
    "Mount": _is_mount,
}
_pair = fields({"address": text(64), "prefix": whole(0, 128)})
_devices = listed(_parts(fact_shapes.Interface), _MOST_ITEMS)
_any_mount = _parts(fact_shapes.Mount)
_FACTS = _shapes_of(fact_shapes.Facts)


def odd_fact(node: Any, paths: List[str]) -> Optional[str]:
    """
    Return the name of a malformed fact of a node; None if all facts are well-formed.

    Args:
        paths: The requested shared paths: a node that omits one would hide it for all nodes.
    """
    if type(node) is not dict:
        return "all of it"
    for name, shape in _FACTS.items():
        if not shape(node[name]) if name in node else name in fact_shapes.Facts.__required_keys__:
            return name
    wanted = [path[:-3] if path.endswith(":ro") else path for path in paths]
    return None if [mount["path"] for mount in node["mounts"]] == wanted else "mounts"


def dated(node: Dict[str, Any], times: Dict[str, float]) -> Dict[str, Any]:
    """Return facts, with the times of the request by our clock beside those by the node's."""
    return {**node, "time": {"begun": node["time"]["begun"], "ended": node["time"]["ended"], **times}}

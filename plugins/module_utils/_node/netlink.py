# SPDX-License-Identifier: Apache-2.0
"""
Query the kernel for the kinds of network devices, for routes, and for the device through which an address is reached.

This takes one socket and no process, so it costs microseconds. A kernel or a sandbox that does not answer is not an
error: unknown facts are left out. Linux, rtnetlink(7). Private to the collection.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
from functools import lru_cache
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import addresses

_SECONDS = 2.0
_NETLINK_ROUTE = getattr(socket, "AF_NETLINK", 16), socket.SOCK_RAW, 0
_SOL_NETLINK, _GET_STRICT = 270, 12
_REQUEST, _DUMP = 1, 0x300
_ERROR, _DONE = 2, 3
_NEW_LINK, _GET_LINK, _NEW_ROUTE, _GET_ROUTE = 16, 18, 24, 26
_LINK_NAME, _LINK_PARENT, _LINK_INFO, _LINK_MASK, _LINK_NETNS, _INFO_KIND, _SKIP_STATS = 3, 5, 18, 29, 37, 1, 8
_DST, _SRC, _OIF, _METRIC, _MULTIPATH = 1, 2, 4, 6, 9
_UNICAST, _MAIN_TABLE, _WHOLE_ROUTE, _DEAD = 1, 254, 0x2000, 1
_REFUSING = (6, 7, 8)  # blackhole, unreachable, prohibit
_MOST_ROUTES = 10000
_DUMP_BYTES, _ANSWER_BYTES = 1 << 18, 1 << 13

Link = Dict[str, Optional[str]]
Route = Tuple[str, int, List[str]]
Attributes = Dict[int, bytes]
_name_of = lru_cache(maxsize=None)(socket.if_indextoname)
# With IPv4, a blackhole is EINVAL, and a prohibited route is EACCES; with IPv6, both may be routes with a device.
_NO_ROUTE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EINVAL)


class _RefusalError(OSError):
    """The kernel answered with an error; any other OSError means that it did not answer."""


def links() -> Dict[str, Link]:
    """
    Describe every network device.

    Returns:
        By name ``kind``, the kernel's word for a virtual device (``vxlan``, ``bond``; None for hardware), and ``peer``,
        the other end of a veth pair if it is on this host. Empty without an answer.
    """
    found: Dict[int, Tuple[str, Attributes]] = {}
    # struct ifinfomsg, and a flag that leaves out counters.
    asked = struct.pack("=BxHiII", 0, 0, 0, 0, 0) + _attribute(_LINK_MASK, struct.pack("=I", _SKIP_STATS))
    try:
        for body in _dump(_GET_LINK, asked):
            own = _attributes(body[16:])
            found[_number(body[4:])] = (own[_LINK_NAME].rstrip(b"\0").decode("utf-8", "replace"), own)
    except (OSError, LookupError, struct.error):
        return {}
    names = {index: name for index, (name, _) in found.items()}
    return {name: _link(own, names) for name, own in found.values()}


def _link(own: Attributes, names: Dict[int, str]) -> Link:
    kind = _attributes(own.get(_LINK_INFO, b"")).get(_INFO_KIND, b"").rstrip(b"\0").decode("ascii", "replace") or None
    is_pair = kind == "veth" and _LINK_PARENT in own and _LINK_NETNS not in own
    return {"kind": kind, "peer": names.get(_number(own[_LINK_PARENT])) if is_pair else None}


def routes() -> Optional[List[Route]]:
    """
    Return the IPv4 routes of the main table: network, length of its prefix, and the devices that carry it.

    Routes that repeat a wider one are left out, and a route that refuses packets has no device. The result is None
    without an answer, or if there are more than 10,000 routes.
    """
    best: Dict[Tuple[bytes, int], Tuple[int, List[str]]] = {}
    asked = struct.pack("=BBBBBBBBI", socket.AF_INET, 0, 0, 0, _MAIN_TABLE, 0, 0, 0, 0)
    try:
        for count, body in enumerate(_dump(_GET_ROUTE, asked)):
            if count >= _MOST_ROUTES:
                return None
            length, table, kind = body[1], body[4], body[7]
            own = _attributes(body[12:])
            key, metric = (own.get(_DST, b"\0" * 4), length), _number(own.get(_METRIC, b"\0" * 4))
            if table != _MAIN_TABLE or body[0] != socket.AF_INET or len(key[0]) != 4 or length > 32:
                continue
            if key not in best or metric < best[key][0]:
                best[key] = (metric, _devices(own) if kind == _UNICAST else [])
    except (OSError, LookupError, struct.error):
        return None
    return _shortest({key: devices for key, (_, devices) in best.items()})


def _shortest(best: Dict[Tuple[bytes, int], List[str]]) -> List[Route]:
    """Return the routes without those that repeat the next wider one."""
    found: List[Route] = []
    wider: List[Tuple[int, int, List[str]]] = []
    for (network, length), devices in sorted(best.items()):
        first = int.from_bytes(network, "big")
        while wider and first > wider[-1][1]:
            wider.pop()
        if not wider or wider[-1][2] != devices:
            found.append((socket.inet_ntoa(network), length, devices))
        wider.append((first, first | ((1 << (32 - length)) - 1), devices))
    return found


def devices_to(source: str, targets: Sequence[str]) -> Dict[str, List[str]]:
    """
    Determine through which devices packets from ``source`` leave for each of the targets.

    Returns:
        By address: devices, several if the route has several paths; none if there is no route. Addresses
        without an answer from the kernel are left out.
    """
    found: Dict[str, List[str]] = {}
    # After one missing answer: waiting again for each of a thousand addresses would take an hour.
    with contextlib.suppress(OSError), _open() as asking:
        for address in targets:
            answer = _route(asking, source, address)
            if answer is not None:
                found[address] = answer
    return found


def _route(asking: socket.socket, source: str, address: str) -> Optional[List[str]]:
    family = addresses.family(address)
    to, own = (socket.inet_pton(family, text) for text in (address, source))
    body = struct.pack("=BBBBBBBBI", family, 8 * len(to), 8 * len(own), 0, 0, 0, 0, 0, _WHOLE_ROUTE)
    body += _attribute(_DST, to) + _attribute(_SRC, own)
    try:
        for kind, answer in _answers(asking, _GET_ROUTE, _REQUEST, body):
            if kind == _NEW_ROUTE:
                route = _attributes(answer[12:])
                if answer[7] in _REFUSING:
                    return []
                return _devices(route) if _OIF in route or _MULTIPATH in route else None
    except _RefusalError as refusal:
        return [] if refusal.errno in _NO_ROUTE else None
    except (LookupError, struct.error):
        pass
    return None


def _devices(own: Attributes) -> List[str]:
    """Return the devices of a route, one for each of its paths."""
    numbers = [_number(own[_OIF])] if _OIF in own else []
    paths = own.get(_MULTIPATH, b"")
    while len(paths) >= 8:
        # struct rtnexthop
        length, flags, _, number = struct.unpack_from("=HBBi", paths)
        if not flags & _DEAD:
            numbers.append(number)
        paths = paths[max(8, (length + 3) & ~3) :]
    return list(dict.fromkeys(_name_of(number) for number in numbers))


def _open() -> socket.socket:
    opened = socket.socket(*_NETLINK_ROUTE)
    opened.settimeout(_SECONDS)
    return opened


def _dump(kind: int, asked: bytes) -> Iterator[bytes]:
    with _open() as asking:
        with contextlib.suppress(OSError):
            # Only the requested table instead of all of them.
            asking.setsockopt(_SOL_NETLINK, _GET_STRICT, 1)
        for answer, body in _answers(asking, kind, _REQUEST | _DUMP, asked):
            if answer in (_NEW_LINK, _NEW_ROUTE):
                yield body


def _answers(asking: socket.socket, kind: int, flags: int, body: bytes) -> Iterator[Tuple[int, bytes]]:
    """
    Send a request and yield the kernel's answers.

    Raises:
        OSError: If the kernel refuses, with its errno.
    """
    asking.send(struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body)
    # This much memory is allocated on each call, and a single answer is small.
    most = _DUMP_BYTES if flags & _DUMP else _ANSWER_BYTES
    while True:
        data = asking.recv(most)
        while len(data) >= 16:
            length, answer = struct.unpack_from("=IH", data)
            if answer == _ERROR:
                number = -struct.unpack_from("=i", data, 16)[0]
                raise _RefusalError(number, os.strerror(number))
            if answer == _DONE:
                return
            yield answer, data[16:length]
            data = data[max(16, (length + 3) & ~3) :]
        if not flags & _DUMP:
            return


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value


def _attributes(data: bytes) -> Attributes:
    found: Attributes = {}
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        found[kind & 0x3FFF] = data[4:length]
        data = data[max(4, (length + 3) & ~3) :]
    return found


def _number(value: bytes) -> int:
    return int(struct.unpack_from("=I", value)[0])

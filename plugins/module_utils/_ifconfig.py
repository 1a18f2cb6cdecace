# SPDX-License-Identifier: Apache-2.0
"""
Read what ``ifconfig -a`` of net-tools prints. Pure text in, plain data out; private to the collection.

Format: https://sourceforge.net/p/net-tools. A block an interface, its first line begins in column one
with the name (aliases are ``eth0:1``), all other lines are indented. Two dialects are in use:

* 2.x: ``eth0: flags=4163<UP,BROADCAST>  mtu 1500``, then ``inet 192.0.2.1  netmask 255.255.255.0``.
* 1.60: ``eth0      Link encap:Ethernet  HWaddr …``, then ``inet addr:192.0.2.1 … Mask:255.255.255.0``,
  and the flags stand behind the addresses: ``UP BROADCAST  MTU:1500  Metric:1``.
"""

from __future__ import annotations

import re
from typing import Any, Dict, List

_HEAD = re.compile(r"^(?P<name>\S+): flags=\d+<(?P<flags>[^>]*)>(?:\s+mtu (?P<mtu>\d+))?")
# An InfiniBand address has 20 bytes, of which ifconfig prints 8 correctly: it is no Ethernet address.
_OLD_HEAD = re.compile(r"^(?P<name>\S+)\s+Link encap:(?:Ethernet\s+HWaddr (?P<ether>[0-9a-fA-F:]+))?")
_OLD_FLAGS = re.compile(r"^\s+(?P<flags>[A-Z ]*[A-Z]|\[NO FLAGS\])\s+MTU:(?P<mtu>\d+)\s+Metric:")
_INET = re.compile(r"^\s+inet (?:addr:)?(?P<address>[\d.]+)(?:.*?(?:netmask |Mask:)(?P<netmask>[\d.]+))?")
_INET6 = re.compile(r"^\s+inet6 (?:addr: )?(?P<address>[0-9a-fA-F:.]+)(?:/|\s+prefixlen )(?P<prefix>\d+)")
_ETHER = re.compile(r"^\s+ether (?P<ether>[0-9a-fA-F:]+)")


def parse(text: str) -> List[Dict[str, Any]]:
    """
    Parse the whole output.

    Returns:
        One dict an interface, in the order printed: ``name``, ``flags`` (list), ``mtu`` (bytes, or
        None), ``ether`` (or None) and ``addresses``, each ``{"address": str, "prefix": int}``.
        Link-local IPv6 addresses are left out: they mean nothing on another host. An alias
        (``eth0:1``) adds its addresses to its interface.
    """
    interfaces: Dict[str, Dict[str, Any]] = {}
    current: Dict[str, Any] = {}
    for line in text.splitlines():
        head = _HEAD.match(line) or _OLD_HEAD.match(line)
        if head:
            fresh = _interface(**head.groupdict())
            current = interfaces.setdefault(fresh["name"], fresh)
        elif current:
            _read_detail(line, current)
    return list(interfaces.values())


def _interface(name: str, flags: str = "", mtu: str = "", ether: str = "") -> Dict[str, Any]:
    """Begin an interface from the words of its first line; each dialect has only some of them."""
    return {
        "name": name.partition(":")[0],
        "flags": [flag for flag in flags.split(",") if flag],
        "mtu": int(mtu) if mtu else None,
        "ether": ether.lower() if ether else None,
        "addresses": [],
    }


def _is_link_local(address: str) -> bool:
    """Tell fe80::/10; the library that knows all of this takes longer to import than all of our work here."""
    first = address.partition(":")[0]
    return bool(first) and int(first, 16) & 0xFFC0 == 0xFE80


def _read_detail(line: str, interface: Dict[str, Any]) -> None:
    inet, inet6, ether, flags = (pattern.match(line) for pattern in (_INET, _INET6, _ETHER, _OLD_FLAGS))
    if inet:
        netmask = inet.group("netmask") or "255.255.255.255"
        prefix = sum(bin(int(part)).count("1") for part in netmask.split("."))
        interface["addresses"].append({"address": inet.group("address"), "prefix": prefix})
    elif inet6 and not _is_link_local(inet6.group("address")):
        interface["addresses"].append({"address": inet6.group("address"), "prefix": int(inet6.group("prefix"))})
    elif ether:
        interface["ether"] = ether.group("ether").lower()
    elif flags and interface["mtu"] is None:
        # Only once: an alias has flags of its own, which say nothing about its interface.
        interface["flags"] = [flag for flag in flags.group("flags").split() if flag.isalpha()]
        interface["mtu"] = int(flags.group("mtu"))

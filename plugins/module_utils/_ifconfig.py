# SPDX-License-Identifier: Apache-2.0
"""
Read what ``ifconfig -a`` of net-tools prints. Pure text in, plain data out; private to the collection.

Format: https://sourceforge.net/p/net-tools (2.x): a block an interface, its first line begins in
column one with the name, which ends at the last colon before ``flags=`` (aliases are ``eth0:1``).
"""

from __future__ import annotations

import re
from ipaddress import IPv4Network, ip_address
from typing import Any, Dict, List

_HEAD = re.compile(r"^(?P<name>\S+): flags=\d+<(?P<flags>[^>]*)>(?:\s+mtu (?P<mtu>\d+))?")
_INET = re.compile(r"^\s+inet (?P<address>[\d.]+)(?:\s+netmask (?P<netmask>[\d.]+))?")
_INET6 = re.compile(
    r"^\s+inet6 (?P<address>[0-9a-fA-F:.]+)\s+prefixlen (?P<prefix>\d+)\s+scopeid (?P<scope>0x[0-9a-f]+)"
)
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
        head = _HEAD.match(line)
        if head:
            name = head.group("name").partition(":")[0]
            fresh = {
                "name": name,
                "flags": [flag for flag in head.group("flags").split(",") if flag],
                "mtu": int(head.group("mtu")) if head.group("mtu") else None,
                "ether": None,
                "addresses": [],
            }
            current = interfaces.setdefault(name, fresh)
        elif current:
            _read_detail(line, current)
    return list(interfaces.values())


def _read_detail(line: str, interface: Dict[str, Any]) -> None:
    inet, inet6, ether = _INET.match(line), _INET6.match(line), _ETHER.match(line)
    if inet:
        netmask = inet.group("netmask") or "255.255.255.255"
        prefix = IPv4Network("0.0.0.0/" + netmask).prefixlen
        interface["addresses"].append({"address": inet.group("address"), "prefix": prefix})
    elif inet6 and not ip_address(inet6.group("address")).is_link_local:
        interface["addresses"].append({"address": inet6.group("address"), "prefix": int(inet6.group("prefix"))})
    elif ether:
        interface["ether"] = ether.group("ether").lower()

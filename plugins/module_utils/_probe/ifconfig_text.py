# SPDX-License-Identifier: Apache-2.0
"""
Parse what ``ifconfig -a`` prints. Pure text in, plain data out; private to the collection.

There is one block per interface: its first line begins in column one with the name (aliases are ``eth0:1``), all other
lines are indented. Addresses come first in a block, with at most one of IPv4. These layouts are known:

* net-tools 2.x: ``eth0: flags=4163<UP,BROADCAST>  mtu 1500``, then ``inet 192.0.2.1  netmask 255.255.255.0``.
* net-tools 1.60 and busybox: ``eth0      Link encap:Ethernet  HWaddr …``, then ``inet addr:192.0.2.1 …
  Mask:255.255.255.0``, and the flags follow the addresses: ``UP BROADCAST  MTU:1500  Metric:1``.
* inetutils: the same, but there is nothing between a name of ten or more characters and ``Link encap:``.

Anything else is an error: an address that is assigned to the wrong interface is worse than none.
"""

from __future__ import annotations

import re
import socket
from typing import Any, Dict, List, Match, Optional

_HEAD = re.compile(
    r"(?P<name>[^\s:/]+(?::[^\s:/]+)?): flags=-?\d{1,10}<(?P<flags>[^<>]*)>(?:\s+mtu (?P<mtu>\d{1,9}))?\s*$"
)
# An InfiniBand address has 20 bytes, of which ifconfig prints 8 correctly: it is not an Ethernet address.
_OLD_HEAD = re.compile(r"(?P<name>[^\s/]+?)\s*Link encap:(?:Ethernet\s+HWaddr (?P<ether>[0-9a-fA-F:]+))?")
_OLD_FLAGS = re.compile(r"\s+(?P<flags>[A-Z ]*[A-Z]|\[NO FLAGS\])\s+MTU:(?P<mtu>\d{1,9})\s+Metric:")
_INET = re.compile(
    r"\s+inet (?P<address>[\d.]+)\s+netmask (?P<netmask>[\d.]+)(?:\s+(?:broadcast|destination) [\d.]+)?\s*$"
    r"|\s+inet addr:(?P<old_address>[\d.]+)(?:\s+(?:P-t-P|Bcast):[\d.]+)*(?:\s+Mask:(?P<old_netmask>[\d.]+))?\s*$"
)
_INET6 = re.compile(
    r"\s+inet6 (?:addr: )?(?P<address>[0-9a-fA-F:.]+)(?:%\w+)?(?:/|\s+prefixlen )(?P<prefix>\d{1,3})"
    r"(?:\s+scopeid 0x|\s+Scope:)"
)
_ETHER = re.compile(r"\s+ether (?P<ether>[0-9a-fA-F:]+)\s")
# What net-tools print about InfiniBand, in column one.
_REMARK = re.compile(
    r"Infiniband hardware address can|Ifconfig (?:uses the ioctl|is obsolete)|Because Infiniband address"
)
_FOREIGN = re.compile(r"flags=|Link encap|\binet", re.IGNORECASE)
_SHOWN = 60


class Unreadable(ValueError):  # noqa: N818  it describes the text
    """The text is not the output of a known ifconfig."""


def parse(text: str) -> List[Dict[str, Any]]:
    """
    Parse the whole output.

    Returns:
        One dict per interface, in the order printed: ``name``, ``flags`` (list), ``mtu`` (bytes, or
        None), ``ether`` (or None) and ``addresses``, each ``{"address": str, "prefix": int}``.
        Link-local IPv6 addresses are left out: they have no meaning on other hosts. An alias
        (``eth0:1``) adds its addresses to its interface.

    Raises:
        Unreadable: If a line does not have a known layout, or is in an impossible place.
    """
    reader = _Reader()
    for number, line in enumerate(text.split("\n"), 1):
        try:
            reader.read(line)
        except (Unreadable, OSError) as error:
            raise Unreadable("line %d is %s: %s" % (number, ascii(line[:_SHOWN]), error)) from error
    if not reader.interfaces:
        raise Unreadable("it has no interface")
    return list(reader.interfaces.values())


class _Reader:
    """The state of the parser: the interface of this block, and which parts of the block it has seen."""

    def __init__(self) -> None:
        self.interfaces: Dict[str, Dict[str, Any]] = {}
        self._current: Optional[Dict[str, Any]] = None
        self._has_inet = self._is_past_addresses = False

    def read(self, line: str) -> None:
        """Parse the next line."""
        head = _HEAD.match(line) or _OLD_HEAD.match(line)
        if head:
            self._begin(head)
        elif not line.strip():
            self._current = None
        elif _REMARK.match(line):
            return
        elif self._current is None or not line[0].isspace():
            raise Unreadable("it does not belong to an interface")
        else:
            self._read_detail(line, self._current)

    def _begin(self, head: Match[str]) -> None:
        fresh = _interface(**head.groupdict())
        base, colon, _ = head.group("name").partition(":")
        if bool(colon) != (base in self.interfaces):
            raise Unreadable("%s comes %s" % (base, "after its alias" if colon else "twice"))
        self._current = self.interfaces.setdefault(base, fresh)
        self._has_inet = self._is_past_addresses = False

    def _read_detail(self, line: str, interface: Dict[str, Any]) -> None:
        inet, inet6 = _INET.match(line), _INET6.match(line)
        if inet or inet6:
            if self._is_past_addresses or (inet and self._has_inet):
                raise Unreadable("an address is not possible here")
            self._has_inet = self._has_inet or bool(inet)
            interface["addresses"] += _inet(inet) if inet else _inet6(inet6)
            return
        if _FOREIGN.search(line):
            raise Unreadable("not what an ifconfig prints")
        self._is_past_addresses = True
        ether, flags = _ETHER.match(line), _OLD_FLAGS.match(line)
        if ether:
            interface["ether"] = ether.group("ether").lower()
        elif flags and interface["mtu"] is None:
            # Only once: an alias has its own flags, which do not describe its interface.
            interface["flags"] = [flag for flag in flags.group("flags").split() if flag.isalpha()]
            interface["mtu"] = int(flags.group("mtu"))


def _interface(name: str, flags: str = "", mtu: str = "", ether: str = "") -> Dict[str, Any]:
    """Return a new interface from the words of its first line; each layout has only some of them."""
    return {
        "name": name.partition(":")[0],
        "flags": [flag for flag in flags.split(",") if flag],
        "mtu": int(mtu) if mtu else None,
        "ether": ether.lower() if ether else None,
        "addresses": [],
    }


def _inet(found: Match[str]) -> List[Dict[str, Any]]:
    address = found.group("address") or found.group("old_address")
    socket.inet_pton(socket.AF_INET, address)
    netmask = found.group("netmask") or found.group("old_netmask") or "255.255.255.255"
    bits = bin(1 << 32 | int.from_bytes(socket.inet_pton(socket.AF_INET, netmask), "big"))[3:]
    if "01" in bits:
        raise Unreadable("%s is not a network mask" % netmask)
    return [{"address": address, "prefix": bits.count("1")}]


def _inet6(found: Optional[Match[str]]) -> List[Dict[str, Any]]:
    assert found is not None
    address, prefix = found.group("address"), int(found.group("prefix"))
    packed = socket.inet_pton(socket.AF_INET6, address)
    if prefix > 128:
        raise Unreadable("/%d is not a valid prefix" % prefix)
    is_link_local = packed[0] == 0xFE and packed[1] & 0xC0 == 0x80
    return [] if is_link_local else [{"address": address, "prefix": prefix}]

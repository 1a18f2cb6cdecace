# SPDX-License-Identifier: Apache-2.0
"""
Classify network interfaces: rejected, a card, or a software device.

A tunnel or an overlay also reaches other nodes, but through a card and much more slowly. Pure; private to the
collection.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address, ip_interface
from itertools import chain
from typing import Callable, Dict, Iterator, List, Optional, Sequence, Set, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common.fact_shapes import Facts, Interface

Names = Dict[str, Interface]

# Kinds that the kernel implements in software; none of them carries a packet anywhere by itself.
_TUNNELS = {
    *("amt", "bareudp", "batadv", "erspan", "fou", "geneve", "gre", "gretap", "gtp", "ip6erspan", "ip6gre"),
    *("ip6gretap", "ip6tnl", "ipip", "l2tp", "ovpn", "ppp", "sit", "tun", "vti", "vti6", "vxlan", "wireguard", "xfrm"),
}
_INNER = {"dummy", "ifb", "netkit", "nlmon", "vrf", "vsockmon"}
# A switch without a visible card behind it: its ports cannot be seen.
_SWITCHES = {"openvswitch"}


@dataclass(frozen=True)
class Candidate:
    """
    One address of one interface of one node; ``network`` is in CIDR notation.

    ``also`` are other cards of the node that the job may use, too.
    """

    interface: str
    address: str
    network: str
    also: Tuple[Candidate, ...] = ()

    @property
    def cards(self) -> Tuple[Candidate, ...]:
        """The card that nodes meet on, and the others."""
        return (self, *self.also)

    @property
    def is_ipv6(self) -> bool:
        """Whether it is an IPv6 address."""
        return ":" in self.address


def by_name(facts: Facts) -> Names:
    """Return a node's interfaces by name."""
    return {entry["name"]: entry for entry in facts["interfaces"]}


def rejection(entry: Interface, names: Names) -> Optional[str]:
    """Return why an interface is rejected, None if it is not."""
    if "UP" not in entry["flags"]:
        return "down"
    if "LOOPBACK" in entry["flags"]:
        return "loopback"
    if entry["bridge"] and not any(_is_real(port, names) for port in entry["lower"]):
        return "bridge without a physical port"
    # A member of a VRF also has a master, but keeps its own traffic.
    master = entry["master"]
    if master and not (master in names and names[master]["vrf"]):
        return "port of " + master
    if "RUNNING" not in entry["flags"]:
        return "no carrier"
    if not addresses(entry):
        return "link-local address only" if entry["addresses"] else "no address"
    return None


def _is_real(name: str, names: Names) -> bool:
    """Return whether a device is hardware, or based on some: a bond, a team, a VLAN of either."""
    return any(device["physical"] or device["bond"] for device in _stack([name], names))


def _stack(
    waiting: List[str], names: Names, is_end: Callable[[Interface], bool] = lambda _: False
) -> Iterator[Interface]:
    """Walk down through devices, each once, but not below one for which ``is_end`` holds."""
    seen: Set[str] = set()
    waiting = list(waiting)
    while waiting:
        name = waiting.pop()
        if name in names and name not in seen:
            seen.add(name)
            yield names[name]
            waiting += [] if is_end(names[name]) else names[name]["lower"]


def software(entry: Interface, names: Names) -> Optional[str]:
    """Return the nature of an interface that is not a card: a tunnel, an overlay, a local end; None for a card."""

    def is_bottom(device: Interface) -> bool:
        """Return whether a device itself shows its nature, rather than those below it."""
        is_known = device["physical"] or device["bond"] or _made_of(device)
        return bool(is_known) or not any(map(names.get, device["lower"]))

    if is_bottom(entry):
        return _made_of(entry)
    below = [_made_of(device) for device in _stack(entry["lower"], names, is_bottom) if is_bottom(device)]
    return "on a %s" % below[0] if below and all(below) else None


def _made_of(entry: Interface) -> Optional[str]:
    """Return the kind of a software device, whatever is below it; None for any other."""
    if entry["physical"] or entry["bond"]:
        return None
    kind = str(entry["kind"])
    if kind in _TUNNELS:
        return "tunnel (%s)" % kind
    if kind in _INNER:
        return "not a card (%s)" % kind
    if entry["peer"]:
        return "pair with %s on this node" % entry["peer"]
    return "tunnel" if {"POINTOPOINT", "NOARP"} & set(entry["flags"]) else None


def is_routed(entry: Interface) -> bool:
    """Return whether a card may reach nodes outside all its networks."""
    return entry["kind"] not in _SWITCHES


def addresses(entry: Interface, link_local: bool = False) -> List[Candidate]:
    """Return an interface's addresses; link-local ones only on request."""
    found = [_parsed("%(address)s/%(prefix)s" % own) for own in entry["addresses"]]
    return [Candidate(entry["name"], own, network) for own, network, is_local in found if link_local or not is_local]


# The addresses of a cluster's services are on all of its nodes.
parsed = lru_cache(maxsize=1 << 16)(ip_address)


@lru_cache(maxsize=1 << 16)
def _parsed(text: str) -> Tuple[str, str, bool]:
    one = ip_interface(text)
    return str(one.ip), str(one.network), one.ip.is_link_local


def usable(facts: Facts) -> List[Candidate]:
    """Return a node's addresses that could carry training traffic, as far as the node alone shows."""
    names = by_name(facts)
    return [c for entry in facts["interfaces"] if rejection(entry, names) is None for c in addresses(entry)]


def cards(facts: Facts) -> List[Candidate]:
    """Return the usable addresses that belong to a card."""
    names = by_name(facts)
    return [candidate for candidate in usable(facts) if software(names[candidate.interface], names) is None]


def repeated(facts: Sequence[Facts]) -> Set[str]:
    """Return addresses that several nodes have."""
    each = ({own["address"] for entry in fact["interfaces"] for own in entry["addresses"]} for fact in facts)
    counts = Counter(chain.from_iterable(each))
    return {address for address, count in counts.items() if count > 1}


def for_nccl(candidate: Candidate, facts: Facts) -> str:
    """Format interfaces' names for NCCL, which takes prefixes: exact names only if a prefix would match others."""
    own = [card.interface for card in candidate.cards]
    others = [entry["name"] for entry in facts["interfaces"] if entry["name"] not in own]
    traps = any(other.startswith(name) for other in others for name in own)
    return ("=" if traps else "") + ",".join(own)

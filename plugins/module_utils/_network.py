# SPDX-License-Identifier: Apache-2.0
"""
Choose every node's interface and address from what all nodes reported. Pure; private to the collection.

The rule: up, not loopback, no bridge without a real port, no port of a bridge or bond, an address
that no other node has, in a network that all nodes share, and not the management network (the one
that SSH came in by) when another qualifies. Several left is an error, never a guess.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any, Dict, List, Optional, Sequence, Set, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._codes import Problem, problem


@dataclass(frozen=True)
class Candidate:
    """One address of one interface of one node; ``network`` is in CIDR notation."""

    interface: str
    address: str
    network: str


Facts = Dict[str, Any]
Choice = Tuple[List[Candidate], List[Problem]]


def choose(hosts: Sequence[str], facts: Sequence[Facts], wanted: Optional[str] = None) -> Choice:
    """
    Choose one candidate a node, in the order of ``hosts``, or report every reason why not.

    Args:
        hosts: Names of the nodes, in rank order.
        facts: What ``node_info`` returned, in the same order.
        wanted: An interface's name or a network in CIDR notation that the user asks for.
    """
    if wanted is not None:
        return _choose_wanted(hosts, facts, wanted)
    shared = _repeated_addresses(facts)
    candidates = [[entry for entry in usable(fact) if entry.address not in shared] for fact in facts]
    common = _common_networks(candidates)
    if not common:
        outside = _outside(hosts, facts)
        if outside:
            return [], outside
        families: List[Set[Any]] = [{ip_network(entry.network).version for entry in entries} for entries in candidates]
        if all(families) and not set.intersection(*families):
            return [], _mixed(hosts, families)
        found = [", ".join("%s %s" % (c.interface, c.network) for c in entries) or "none" for entries in candidates]
        return [], [
            problem(
                "NO_COMMON_NETWORK",
                host,
                "no network is common to all nodes; usable here: %s" % text,
                "connect the nodes to one network, or name it with --interface",
            )
            for host, text in zip(hosts, found)
        ]
    data = [network for network in common if not _is_management(network, facts)]
    outside = [] if data else _outside(hosts, facts)
    if outside:
        return [], outside
    data = data or common
    family = [network for network in data if ip_network(network).version == 4] or data
    chosen = [[entry for entry in entries if entry.network in family] for entries in candidates]
    ambiguous = [
        problem(
            "INTERFACE_AMBIGUOUS",
            host,
            "several interfaces qualify: %s" % ", ".join("%s %s" % (c.interface, c.address) for c in entries),
            "choose one with --interface NAME or CIDR",
        )
        for host, entries in zip(hosts, chosen)
        if len(entries) > 1
    ]
    return ([], ambiguous) if ambiguous else ([entries[0] for entries in chosen], [])


def _outside(hosts: Sequence[str], facts: Sequence[Facts]) -> List[Problem]:
    """
    Find nodes that are not in a network where most others are.

    Falling back to the management network would hide a cable that is out. The same address on every
    node, such as that of a service processor, is no network between them.
    """
    members: Dict[str, Dict[str, str]] = {}
    for host, fact in zip(hosts, facts):
        for entry in usable(fact):
            if not _is_management(entry.network, facts):
                members.setdefault(entry.network, {})[host] = entry.address
    found: List[Problem] = []
    for network, own in members.items():
        addresses = list(own.values())
        if len(set(addresses)) < 2 or 2 * len(own) <= len(hosts):
            continue
        for host in hosts:
            if host not in own:
                message = "has no address in %s, where %d of %d nodes are" % (network, len(own), len(hosts))
                found.append(problem("NETWORK_MISSING", host, message))
            elif addresses.count(own[host]) > 1:
                others = ", ".join(other for other, address in own.items() if address == own[host] and other != host)
                found.append(problem("ADDRESS_TWICE", host, "its address %s is also on %s" % (own[host], others)))
    return found


def _mixed(hosts: Sequence[str], families: Sequence[Set[Any]]) -> List[Problem]:
    return [problem("FAMILY_MIXED", host, "has only IPv%d" % min(own)) for host, own in zip(hosts, families)]


def explain(
    hosts: Sequence[str], facts: Sequence[Facts], chosen: Sequence[Candidate]
) -> Dict[str, List[Dict[str, Any]]]:
    """
    Give every address of every node with the reason why it was chosen or not.

    Returns:
        By host a list of ``interface``, ``address``, ``network`` (None without an address) and ``verdict``.
    """
    repeated = _repeated_addresses(facts)
    candidates = [[entry for entry in usable(fact) if entry.address not in repeated] for fact in facts]
    common = _common_networks(candidates)
    rows: Dict[str, List[Dict[str, Any]]] = {}
    for number, (host, fact) in enumerate(zip(hosts, facts)):
        own = chosen[number] if number < len(chosen) else None
        names = {entry["name"]: entry for entry in fact["interfaces"]}
        rows[host] = []
        for entry in fact["interfaces"]:
            reason = rejection(entry, names)
            for candidate in _addresses(entry) or [Candidate(entry["name"], "", "")]:
                verdict = reason or _verdict(candidate, own, repeated, common, facts)
                row = {"interface": candidate.interface, "address": candidate.address or None}
                rows[host].append(dict(row, network=candidate.network or None, verdict=verdict))
    return rows


def _verdict(
    candidate: Candidate, own: Optional[Candidate], repeated: Set[str], common: Sequence[str], facts: Sequence[Facts]
) -> str:
    if candidate == own:
        return "chosen"
    if candidate.address in repeated:
        return "another node has this address too"
    if candidate.network not in common:
        return "not a network of all nodes"
    if _is_management(candidate.network, facts):
        return "management network: SSH comes in here"
    return "qualifies, not chosen" if own else "qualifies"


def usable(facts: Facts) -> List[Candidate]:
    """List a node's addresses that could carry training traffic as far as the node alone can tell."""
    names = {entry["name"]: entry for entry in facts["interfaces"]}
    return [
        candidate for entry in facts["interfaces"] if rejection(entry, names) is None for candidate in _addresses(entry)
    ]


def rejection(entry: Dict[str, Any], names: Dict[str, Dict[str, Any]]) -> Optional[str]:
    """Say why an interface is out of the question, or None when it is not."""
    if "UP" not in entry["flags"]:
        return "down"
    if "LOOPBACK" in entry["flags"]:
        return "loopback"
    if entry["bridge"] and not any(_is_real(port, names) for port in entry["lower"]):
        return "bridge without a physical port"
    # A member of a VRF has a master too, but keeps its own traffic.
    if entry["master"] and not names.get(entry["master"], {}).get("vrf"):
        return "port of " + str(entry["master"])
    if "RUNNING" not in entry["flags"]:
        return "no carrier"
    return None if _addresses(entry) else "no address"


def _is_real(name: str, names: Dict[str, Dict[str, Any]]) -> bool:
    """Tell whether a device is hardware, or stands on some: a bond, a team, a VLAN of either."""
    waiting, seen = [name], set()
    while waiting:
        found = waiting.pop()
        device = names.get(found)
        if device is None or found in seen:
            continue
        if device["physical"] or device["bond"]:
            return True
        seen.add(found)
        waiting += device["lower"]
    return False


def _addresses(entry: Dict[str, Any]) -> List[Candidate]:
    """List an interface's addresses; link-local ones mean nothing on another node."""
    found = [ip_interface("%(address)s/%(prefix)s" % address) for address in entry["addresses"]]
    return [Candidate(entry["name"], str(one.ip), str(one.network)) for one in found if not one.ip.is_link_local]


def _repeated_addresses(facts: Sequence[Facts]) -> Set[str]:
    seen: Set[str] = set()
    repeated: Set[str] = set()
    for fact in facts:
        own = {address["address"] for entry in fact["interfaces"] for address in entry["addresses"]}
        repeated |= own & seen
        seen |= own
    return repeated


def _common_networks(candidates: Sequence[Sequence[Candidate]]) -> List[str]:
    common = {entry.network for entry in candidates[0]}
    for entries in candidates[1:]:
        common &= {entry.network for entry in entries}
    return sorted(common)


def _is_management(network: str, facts: Sequence[Facts]) -> bool:
    addresses = [fact["management_address"] for fact in facts if fact["management_address"]]
    return any(ip_address(address) in ip_network(network) for address in addresses)


def _choose_wanted(hosts: Sequence[str], facts: Sequence[Facts], wanted: str) -> Choice:
    chosen: List[Candidate] = []
    problems: List[Problem] = []
    for host, fact in zip(hosts, facts):
        everything = [candidate for entry in fact["interfaces"] for candidate in _addresses(entry)]
        if "/" in wanted:
            network = ip_network(wanted, strict=False)
            matches = [c for c in everything if ip_address(c.address) in network]
        else:
            matches = [c for c in everything if c.interface == wanted]
            matches = [c for c in matches if ip_address(c.address).version == 4] or matches
        if matches:
            chosen.append(matches[0])
            continue
        names = ", ".join(entry["name"] for entry in fact["interfaces"]) or "none"
        known = any(entry["name"] == wanted for entry in fact["interfaces"])
        message = "interface %s has no address" % wanted if known else "no interface matches %s" % wanted
        problems.append(problem("INTERFACE_UNKNOWN", host, message, "interfaces here: " + names))
    networks = {entry.network for entry in chosen}
    families = [{ip_network(entry.network).version} for entry in chosen]
    if not problems and len(set.union(*families)) > 1:
        return [], _mixed(hosts, families)
    if not problems and len(networks) > 1 and "/" not in wanted:
        problems = [
            problem(
                "NO_COMMON_NETWORK",
                host,
                "%s is in %s here, elsewhere in another network" % (wanted, c.network),
                "name the network itself: --interface CIDR",
            )
            for host, c in zip(hosts, chosen)
        ]
    return ([], problems) if problems else (chosen, [])


def nccl_name(name: str, facts: Facts) -> str:
    """Write an interface's name for NCCL, which takes prefixes: exact only where a prefix would trap."""
    others = (entry["name"] for entry in facts["interfaces"])
    return "=" + name if any(other != name and other.startswith(name) for other in others) else name

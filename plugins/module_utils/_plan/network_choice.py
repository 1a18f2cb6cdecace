# SPDX-License-Identifier: Apache-2.0
"""
Choose every node's interface and address from what all nodes reported. Pure; private to the collection.

What counts is whether nodes reach each other, then what kind of device carries it:

1. Cards, up and with a carrier, whose addresses are in a network of all nodes or are routed to all others over
   these cards, and which are not on the management network, the one that SSH came in by.
2. Cards on the management network, always with a warning if another card was meant.
3. Cards that reach the others by the default route alone.

Tunnels and overlays are used only on request, and a request is taken literally: the proof decides. If several
candidates are left, that is an error, never a guess.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Dict, List, Optional, Sequence, Set, Union

from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import problem
from ansible_collections.madctl.multinode.plugins.module_utils._common.fact_shapes import Facts, Interface
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import Routing
from ansible_collections.madctl.multinode.plugins.module_utils._plan import common_networks, network_cards
from ansible_collections.madctl.multinode.plugins.module_utils._plan.common_networks import Choice, Group, Network
from ansible_collections.madctl.multinode.plugins.module_utils._plan.network_cards import Candidate
from ansible_collections.madctl.multinode.plugins.module_utils._plan.requested_network import choose as choose_requested

_EXPLAINED = 64

# ``interface``, ``address``, ``network`` (None without an address) and ``verdict``.
Row = Dict[str, Optional[str]]


def choose(
    hosts: Sequence[str],
    facts: Sequence[Facts],
    wanted: Union[None, str, Sequence[Optional[str]]] = None,
    master: Optional[str] = None,
) -> Choice:
    """
    Choose one candidate per node, in the order of ``hosts``, or report every reason why not.

    Args:
        hosts: Names of the nodes, in rank order.
        facts: What ``node_info`` returned, in the same order.
        wanted: The requested interface's name or network in CIDR notation, for all nodes or for each.
        master: A requested address of the first node; without ``wanted``, it determines the network.

    Returns:
        Candidates and problems; with candidates all problems are warnings.
    """
    group = Group(hosts, facts)
    each = [wanted] * len(hosts) if wanted is None or isinstance(wanted, str) else wanted
    if any(each):
        return choose_requested(group, each)
    return group.choose() if master is None else _by_master(group, master)


def _by_master(group: Group, master: str) -> Choice:
    """Choose the network of an address of the first node, or by the rule if not all nodes are in it."""
    own = {c.address: c.network for c in network_cards.usable(group.facts[0])}
    remedy = "its addresses: " + (", ".join(own) or "none")
    if master not in own:
        message = "%s is not a usable address of this node" % master
        return [], [problem("MASTER_ADDR_UNKNOWN", group.hosts[0], message, remedy)]
    if all(own[master] in {c.network for c in network_cards.usable(fact)} for fact in group.facts):
        return choose_requested(group, [own[master]] * len(group.hosts))
    chosen, problems = group.choose()
    if chosen and chosen[0].address != master:
        message = "%s is in no network of all nodes: they meet at %s" % (master, chosen[0].address)
        return [], [problem("MASTER_ADDR_UNKNOWN", group.hosts[0], message, remedy)]
    return chosen, problems


def explain(hosts: Sequence[str], facts: Sequence[Facts], chosen: Sequence[Candidate]) -> Dict[str, List[Row]]:
    """
    Return every address of every node and why it was chosen or not.

    An interface with very many addresses is represented by the first ones and those that were chosen.

    Returns:
        Rows by host.
    """
    group = Group(hosts, facts)
    rows: Dict[str, List[Row]] = {}
    for number, host in enumerate(hosts):
        own = chosen[number] if number < len(chosen) else None
        taken = [replace(card, also=()) for card in own.cards] if own else []
        rows[host] = []
        for entry in facts[number]["interfaces"]:
            each = network_cards.addresses(entry, link_local=True) or [Candidate(entry["name"], "", "")]
            for candidate in each[:_EXPLAINED] + [candidate for candidate in each[_EXPLAINED:] if candidate in taken]:
                verdict = _verdict(group, number, entry, candidate, taken)
                place = {"interface": candidate.interface, "address": candidate.address or None}
                rows[host].append({**place, "network": candidate.network or None, "verdict": verdict})
    return rows


def _verdict(group: Group, number: int, entry: Interface, candidate: Candidate, cards: List[Candidate]) -> str:
    names = group.names[number]
    if candidate in cards:
        return "chosen" if candidate == cards[0] else "chosen as well, for NCCL"
    reason = network_cards.rejection(entry, names)
    if reason:
        return reason
    if ip_address(candidate.address).is_link_local:
        return "link-local: only by request"
    if candidate.address in group.repeated:
        return "another node has this address too"
    software = network_cards.software(entry, names)
    if software:
        return "%s: only by request" % software
    if candidate.network in group.management:
        return "management network: SSH uses it"
    if candidate not in group.qualifying[number]:
        return "not a network of all nodes, and not routed to them"
    return "qualifies, not chosen" if cards else "qualifies"


def routed(candidate: Candidate, fact: Facts) -> Routing:
    """Return the devices through which a node should reach all others from its address; empty if it sends nothing."""
    names = network_cards.by_name(fact)
    ends_here = "LOOPBACK" in names[candidate.interface]["flags"] or names[candidate.interface]["kind"] == "dummy"
    return {} if ends_here else {"source": candidate.address, "devices": [card.interface for card in candidate.cards]}


def cover(facts: Sequence[Facts], chosen: Sequence[Candidate], wanted: Optional[str] = None) -> List[str]:
    """
    Write the networks of the job in as few words as possible, for programs that get the same words on all nodes.

    Several networks that are not on all nodes become one that covers them, preferably the requested one, unless it
    includes another address of a node.
    """
    each = [{card.network for card in own.cards} for own in chosen]
    networks = sorted(set.union(*each))
    if all(len(own) == len(networks) for own in each):
        return [str(common_networks.network_of(network)) for network in networks]
    addresses = {card.address for own in chosen for card in own.cards}
    others = [c.address for fact in facts for entry in fact["interfaces"] for c in network_cards.addresses(entry, True)]
    others = [address for address in dict.fromkeys(others) if address not in addresses]
    asked = [common_networks.network_of(wanted)] if wanted and "/" in wanted else []
    for wide in [*asked, _smallest(addresses)]:
        if not any(ip_address(address) in wide for address in others):
            return [str(wide)]
    return [str(common_networks.network_of(network)) for network in networks]


def _smallest(addresses: Set[str]) -> Network:
    """Return the smallest network that contains all addresses."""
    numbers = sorted(map(ip_address, addresses), key=int)
    bits = numbers[0].max_prefixlen
    prefix = bits - (int(numbers[0]) ^ int(numbers[-1])).bit_length()
    return common_networks.network_of("%s/%d" % (numbers[0], prefix))

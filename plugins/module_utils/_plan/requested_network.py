# SPDX-License-Identifier: Apache-2.0
"""
Use the requested network, an interface's name or in CIDR notation, without questioning it.

Pure; private to the collection.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Dict, List, Optional, Sequence, Set

from ansible_collections.madctl.multinode.plugins.module_utils._common import plain_text
from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem, problem
from ansible_collections.madctl.multinode.plugins.module_utils._common.fact_shapes import Facts
from ansible_collections.madctl.multinode.plugins.module_utils._plan import common_networks, network_cards
from ansible_collections.madctl.multinode.plugins.module_utils._plan.common_networks import Choice, Each, Group
from ansible_collections.madctl.multinode.plugins.module_utils._plan.comparison import odd_ones
from ansible_collections.madctl.multinode.plugins.module_utils._plan.network_cards import Candidate

_NARROWER = "give one interface, or a network that only it is in: --interface NAME or CIDR"


def choose(group: Group, asked: Sequence[Optional[str]]) -> Choice:
    """
    Choose the requested network; the proof shows whether it works.

    Args:
        asked: The request for each node; a node without one takes the network of the first node that has one.
    """
    wishes = [(number, wish) for number, wish in enumerate(asked) if wish is not None]
    given = {number: _matches(group.facts[number], wish, group.repeated) for number, wish in wishes}
    problems = [found for number, wish in wishes for found in _unusable(group, number, given[number], wish)]
    if problems:
        return [], problems
    first = given[wishes[0][0]][0].network
    wanted = [first if wish is None else wish for wish in asked]
    each = [_matches(fact, wish, group.repeated) for fact, wish in zip(group.facts, wanted)]
    problems = [found for number, own in enumerate(each) for found in _unusable(group, number, own, wanted[number])]
    if problems:
        return [], problems
    families = [[[c for c in own if c.is_ipv6 == six] for own in each] for six in (False, True)]
    each = next((family for family in families if all(family)), [])
    if not each:
        return [], common_networks.mixed(group.hosts, [four or six for four, six in zip(*families)])
    twice = _twice(group, each)
    if twice:
        return [], twice
    if all(len({c.interface for c in own}) == 1 for own in each):
        return group.one_address_each(each), []
    several = [
        common_networks.ambiguous(group.hosts[number], own, _NARROWER)
        for number, own in enumerate(each)
        if _is_ambiguous(group, number, own)
    ]
    if several:
        return [], several
    common = set.intersection(*({c.network for c in own} for own in each))
    chosen = [_first(group, number, own, common, each) for number, own in enumerate(each)]
    text, wish_of = "%s %s, on most nodes %d", dict(zip(group.hosts, wanted))
    fewer = odd_ones(zip(group.hosts, chosen), lambda own: len(own.cards))
    return chosen, [
        problem("CARDS_DIFFER", host, text % (_matching(count), wish_of[host], most)) for host, count, most in fewer
    ]


def _matching(cards: int) -> str:
    return plain_text.count(cards, "card matches", "cards match")


def _matches(fact: Facts, wanted: str, repeated: Set[str]) -> List[Candidate]:
    """Return the matches; addresses that several nodes have, or that the rule rejects, only if there are no others."""
    names = network_cards.by_name(fact)
    if "/" not in wanted:
        if wanted not in names:
            return []
        entry = names[wanted]
        named = network_cards.addresses(entry) or network_cards.addresses(entry, link_local=True)
        return [c for c in named if c.address not in repeated] or named
    network = common_networks.network_of(wanted)
    found = [
        c
        for entry in fact["interfaces"]
        for c in network_cards.addresses(entry, link_local=True)
        if network_cards.parsed(c.address) in network
    ]
    usable = (None, "link-local address only")
    good = [c for c in found if network_cards.rejection(names[c.interface], names) in usable]
    good = [c for c in good if c.address not in repeated] or good
    real = [c for c in good if network_cards.software(names[c.interface], names) is None]
    return real or good or found


def _unusable(group: Group, number: int, own: List[Candidate], wanted: str) -> List[Problem]:
    host, names = group.hosts[number], group.names[number]
    if not own:
        message = ("interface %s has no address" if wanted in names else "no interface matches %s") % wanted
        remedy = "interfaces on this node: " + (", ".join(names) or "none")
        return [problem("INTERFACE_UNKNOWN", host, message, remedy)]
    reasons = {c.interface: network_cards.rejection(names[c.interface], names) for c in own}
    if all(reason in ("down", "no carrier") for reason in reasons.values()):
        faults = ", ".join(common_networks.fault(name, str(reason)) for name, reason in reasons.items())
        return [problem("INTERFACE_DOWN", host, "%s, but %s was requested" % (faults, wanted))]
    return []


def _twice(group: Group, each: Each) -> List[Problem]:
    """Return nodes all of whose addresses also belong to other nodes."""
    holders, found = _holders(group), []
    for host, own in zip(group.hosts, each):
        address, name = own[0].address, own[0].interface
        others = ", ".join(other for other in holders.get(address, []) if other != host)
        if others and all(c.address in group.repeated for c in own):
            message = "its address %s of %s is also on %s" % (address, name, others)
            found.append(problem("ADDRESS_TWICE", host, message))
    return found


def _holders(group: Group) -> Dict[str, List[str]]:
    """Return the nodes that have each shared address, on any interface that is up."""
    holders: Dict[str, List[str]] = {}
    for host, fact in zip(group.hosts, group.facts):
        up = [entry for entry in fact["interfaces"] if "UP" in entry["flags"]]
        for address in group.repeated & {own["address"] for entry in up for own in entry["addresses"]}:
            holders.setdefault(address, []).append(host)
    return holders


def _is_ambiguous(group: Group, number: int, own: Sequence[Candidate]) -> bool:
    """Return whether the user must choose: cards in one network, and rails, go together, but management does not."""
    networks, names = {c.network for c in own}, {c.interface for c in own}
    if len(networks) < 2 or len(names) < 2:
        return False
    mtu = {group.names[number][name]["mtu"] for name in names}
    return len(mtu) > 1 or any(network in group.management for network in networks)


def _first(group: Group, number: int, own: List[Candidate], common: Set[str], each: Each) -> Candidate:
    """Choose the card that nodes meet on: one in a network of all nodes, and the one that the route uses."""
    shared = [c for c in own if c.network in common] or own
    peer = next((c.address for other, cs in enumerate(each) if other != number for c in cs), None)
    led = [c for c in shared if peer and len(shared) > 1 and group.table(number).carries(c.interface, peer)]
    first = (led or shared)[0]
    also: Dict[str, Candidate] = {}
    for card in own:
        if card.interface != first.interface:
            also.setdefault(card.interface, card)
    return replace(first, also=tuple(also.values()))

# SPDX-License-Identifier: Apache-2.0
"""
Use the network that the user asks for, by an interface's name or in CIDR notation, without questioning it.

Pure; private to the collection.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Dict, List, Sequence, Set

from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem, problem
from ansible_collections.madctl.multinode.plugins.module_utils._common.fact_shapes import Facts
from ansible_collections.madctl.multinode.plugins.module_utils._plan import network_cards
from ansible_collections.madctl.multinode.plugins.module_utils._plan.common_networks import (
    Choice,
    Each,
    Group,
    ambiguous,
    fault,
    mixed,
    network_of,
)
from ansible_collections.madctl.multinode.plugins.module_utils._plan.comparison import odd_ones
from ansible_collections.madctl.multinode.plugins.module_utils._plan.network_cards import Candidate

_NARROWER = "give one interface, or a network that only it is in: --interface NAME or CIDR"


class Asked:
    """What the user asks for by name or by network."""

    def __init__(self, group: Group, wanted: str) -> None:
        self._group, self._wanted, self._by_network = group, wanted, "/" in wanted

    def choose(self) -> Choice:
        """Choose what was asked for; the proof shows whether it works."""
        group = self._group
        each = [self._matches(fact) for fact in group.facts]
        problems = [found for number, own in enumerate(each) for found in self._unusable(number, own)]
        if problems:
            return [], problems
        families = [[[c for c in own if c.is_ipv6 == six] for own in each] for six in (False, True)]
        each = next((family for family in families if all(family)), [])
        if not each:
            return [], mixed(group.hosts, [four or six for four, six in zip(*families)])
        twice = self._twice(each)
        if twice:
            return [], twice
        if all(len({c.interface for c in own}) == 1 for own in each):
            return group.one_address_each(each), []
        several = [
            ambiguous(group.hosts[number], own, _NARROWER)
            for number, own in enumerate(each)
            if self._is_ambiguous(number, own)
        ]
        if several:
            return [], several
        common = set.intersection(*({c.network for c in own} for own in each))
        chosen = [self._first(number, own, common, each) for number, own in enumerate(each)]
        return chosen, self._differing(chosen)

    def _matches(self, fact: Facts) -> List[Candidate]:
        """Return what matches; addresses of several nodes, or that the rule rejects, only if nothing else does."""
        names = network_cards.by_name(fact)
        if not self._by_network:
            if self._wanted not in names:
                return []
            entry = names[self._wanted]
            named = network_cards.addresses(entry) or network_cards.addresses(entry, link_local=True)
            return [c for c in named if c.address not in self._group.repeated] or named
        network = network_of(self._wanted)
        found = [
            (entry, c)
            for entry in fact["interfaces"]
            for c in network_cards.addresses(entry, link_local=True)
            if network_cards.parsed(c.address) in network
        ]
        good = [
            (entry, c)
            for entry, c in found
            if network_cards.rejection(entry, names) in (None, "link-local address only")
        ]
        good = [(entry, c) for entry, c in good if c.address not in self._group.repeated] or good
        real = [c for entry, c in good if network_cards.software(entry, names) is None]
        return real or [c for _, c in good] or [c for _, c in found]

    def _unusable(self, number: int, own: List[Candidate]) -> List[Problem]:
        host, names = self._group.hosts[number], self._group.names[number]
        if not own:
            known = self._wanted in names
            message = ("interface %s has no address" if known else "no interface matches %s") % self._wanted
            remedy = "interfaces here: " + (", ".join(names) or "none")
            return [problem("INTERFACE_UNKNOWN", host, message, remedy)]
        reasons = {c.interface: network_cards.rejection(names[c.interface], names) for c in own}
        if all(reason in ("down", "no carrier") for reason in reasons.values()):
            faults = ", ".join(fault(name, str(reason)) for name, reason in reasons.items())
            return [problem("INTERFACE_DOWN", host, "%s, but %s was requested" % (faults, self._wanted))]
        return []

    def _twice(self, each: Each) -> List[Problem]:
        """Return nodes all of whose addresses belong to others as well."""
        holders, found = self._holders(), []
        for host, own in zip(self._group.hosts, each):
            address, name = own[0].address, own[0].interface
            others = ", ".join(other for other in holders.get(address, []) if other != host)
            if others and all(c.address in self._group.repeated for c in own):
                message = "its address %s of %s is also on %s" % (address, name, others)
                found.append(problem("ADDRESS_TWICE", host, message))
        return found

    def _holders(self) -> Dict[str, List[str]]:
        """Return the nodes that have each shared address, on any interface that is up."""
        holders: Dict[str, List[str]] = {}
        for host, fact in zip(self._group.hosts, self._group.facts):
            up = [entry for entry in fact["interfaces"] if "UP" in entry["flags"]]
            for address in self._group.repeated & {own["address"] for entry in up for own in entry["addresses"]}:
                holders.setdefault(address, []).append(host)
        return holders

    def _is_ambiguous(self, number: int, own: Sequence[Candidate]) -> bool:
        """Return whether the user must choose: cards of one network and rails go together, management does not."""
        group = self._group
        networks = {c.network for c in own}
        if len(networks) < 2:
            return False
        mtu = {group.names[number][c.interface]["mtu"] for c in own}
        managed = {network in group.management for network in networks}
        return len({c.interface for c in own}) > 1 and (len(mtu) > 1 or True in managed)

    def _first(self, number: int, own: List[Candidate], common: Set[str], each: Each) -> Candidate:
        """Choose the card that nodes meet on: in a network of all nodes, and the one that the route uses."""
        group = self._group
        shared = [c for c in own if c.network in common] or own
        peer = next((c.address for other, cs in enumerate(each) if other != number for c in cs), None)
        led = [c for c in shared if peer and len(shared) > 1 and group.table(number).carries(c.interface, peer)]
        first = (led or shared)[0]
        also = {c.interface: c for c in reversed(own) if c.interface != first.interface}
        return replace(first, also=tuple(also[name] for name in reversed(list(also))))

    def _differing(self, chosen: Sequence[Candidate]) -> List[Problem]:
        return [
            problem("CARDS_DIFFER", host, "%d cards match %s, on most nodes %d" % (count, self._wanted, most))
            for host, count, most in odd_ones(zip(self._group.hosts, chosen), lambda own: len(own.cards))
        ]

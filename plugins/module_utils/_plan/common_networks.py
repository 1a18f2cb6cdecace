# SPDX-License-Identifier: Apache-2.0
"""
Compare the cards of all nodes: which ones reach each other, and why the others do not.

Pure; private to the collection.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from functools import cached_property, lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, Dict, List, Sequence, Set, Tuple, Union

from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem, problem
from ansible_collections.madctl.multinode.plugins.module_utils._common.fact_shapes import Facts
from ansible_collections.madctl.multinode.plugins.module_utils._plan import network_cards, route_tables
from ansible_collections.madctl.multinode.plugins.module_utils._plan.network_cards import Candidate

Choice = Tuple[List[Candidate], List[Problem]]
Each = List[List[Candidate]]
Network = Union[IPv4Network, IPv6Network]
# A card's network, its address as a number, and the addresses that are reached over it.
_Way = Tuple[str, int, route_tables.Ranges]
# By card: why it is not usable, and its addresses.
_Broken = Dict[str, Tuple[str, List[Candidate]]]
# Why an interface is rejected if that is a fault, and not its nature.
_FAULTS = ("down", "no carrier", "no address")
# A network of at most this many addresses has no room for a third node: nodes reach each other through routes.
_FEW = 4


class Group:
    """The facts of all nodes, side by side."""

    def __init__(self, hosts: Sequence[str], facts: Sequence[Facts]) -> None:
        self.hosts, self.facts = hosts, facts
        self.repeated = network_cards.repeated(facts)
        self.management = _Management(facts)
        self.cards: Each = [[c for c in network_cards.cards(fact) if c.address not in self.repeated] for fact in facts]
        self.data: Each = [[c for c in own if c.network not in self.management] for own in self.cards]
        self.names = [network_cards.by_name(fact) for fact in facts]
        self._tables: Dict[int, route_tables.Table] = {}

    def choose(self) -> Choice:
        """Choose by the rule."""
        data = self.reaching(self.data, 1)
        if all(data):
            return self._one_each(data)
        outside = self._outside()
        if outside:
            return [], outside
        for shortest in (1, 0):
            left = self.reaching(self.cards, shortest)
            if all(left):
                chosen, problems = self._one_each(left)
                managed = any(c.network in self.management for c in chosen)
                return chosen, problems + (self._passed_over() if managed else [])
        return [], self._nothing_common()

    def reaching(self, pool: Each, shortest: int) -> Each:
        """Keep cards that reach a card of every other node and are reached from it."""
        while all(pool):
            common = set.intersection(*({c.network for c in own} for own in pool))
            ways: List[List[_Way]] = []
            if any(c.network not in common for own in pool for c in own):
                ways = [[self._way(number, c, shortest) for c in own] for number, own in enumerate(pool)]
            left = [
                [c for place, c in enumerate(own) if c.network in common or _reaches_all(number, place, ways)]
                for number, own in enumerate(pool)
            ]
            if left == pool:
                break
            pool = left
        return pool

    def _way(self, number: int, own: Candidate, shortest: int) -> _Way:
        is_routed = not own.is_ipv6 and network_cards.is_routed(self.names[number][own.interface])
        ranges = self.table(number).ranges(own.interface, shortest) if is_routed else route_tables.NOWHERE
        return own.network, route_tables.number_of(own.address), ranges

    def table(self, number: int) -> route_tables.Table:
        """Return a node's routes."""
        if number not in self._tables:
            self._tables[number] = route_tables.Table(self.facts[number].get("routes"))
        return self._tables[number]

    @cached_property
    def qualifying(self) -> Each:
        """The cards that qualify: those for data or, without a data network, all that reach the others."""
        found = next(filter(all, (self.reaching(pool, 1) for pool in (self.data, self.cards))), None)
        return found or [[] for _ in self.hosts]

    def _one_each(self, left: Each) -> Choice:
        four = [[c for c in own if not c.is_ipv6] for own in left]
        left = four if all(four) else left
        several = [
            ambiguous(host, own, "choose one with --interface NAME or CIDR")
            for host, own in zip(self.hosts, left)
            if len({c.interface for c in own}) > 1
        ]
        return ([], several) if several else (self.one_address_each(left), [])

    def one_address_each(self, cards: Each) -> List[Candidate]:
        """Choose every node's address that SSH came in by, otherwise its first, in a network of all if there is one."""
        common = set.intersection(*({c.network for c in own} for own in cards))
        entered = Counter(c.network for own in cards for c in own if c.address in self.management.addresses)
        networks = [c.network for c in cards[0] if c.network in common]
        network = max(networks, key=entered.__getitem__, default=None)
        inside = [[c for c in own if network in (None, c.network)] for own in cards]
        return [next((c for c in own if c.address in self.management.addresses), own[0]) for own in inside]

    # -- why not --------------------------------------------------------------------------------------

    def _broken(self, number: int) -> _Broken:
        """Return unusable cards of a node, each with the reason and the addresses that it nevertheless has."""
        names, found = self.names[number], {}
        for name, entry in names.items():
            reason = network_cards.rejection(entry, names)
            if reason in _FAULTS and network_cards.software(entry, names) is None:
                found[name] = (reason, [c for c in network_cards.addresses(entry) if c.network not in self.management])
        return found

    def _outside(self) -> List[Problem]:
        """
        Find nodes outside a network that most others are in, or should be in.

        Falling back to the management network would hide an unplugged cable. The same address on every
        node, such as that of a service processor, is not a network between them.
        """
        members: Dict[str, Dict[str, Candidate]] = {}
        meant: Dict[str, Dict[str, Candidate]] = {}
        for number, host in enumerate(self.hosts):
            for own in network_cards.cards(self.facts[number]):
                if own.network not in self.management:
                    members.setdefault(own.network, {})[host] = own
            for _, addresses in self._broken(number).values():
                for own in addresses:
                    meant.setdefault(own.network, {})[host] = own
        found: List[Problem] = []
        for network, own_of in members.items():
            everyone = {**meant.get(network, {}), **own_of}
            if len({c.address for c in everyone.values()}) > 1 and 2 * len(everyone) > len(self.hosts):
                found += self._outside_of(network, own_of)
        return found

    def _outside_of(self, network: str, own_of: Dict[str, Candidate]) -> List[Problem]:
        addresses = Counter(c.address for c in own_of.values())
        usual = {c.interface for c in own_of.values()}
        found: List[Problem] = []
        for number, host in enumerate(self.hosts):
            if host not in own_of:
                where = "is not in %s, where %d of %d nodes are" % (network, len(own_of), len(self.hosts))
                found.append(problem("NETWORK_MISSING", host, where + self._why(number, usual, network)))
            elif addresses[own_of[host].address] > 1:
                address = own_of[host].address
                others = ", ".join(other for other, c in own_of.items() if c.address == address and other != host)
                found.append(problem("ADDRESS_TWICE", host, "its address %s is also on %s" % (address, others)))
        return found

    def _why(self, number: int, usual: Set[str], network: str) -> str:
        """Return which card of a node should have been in a network: by its address, otherwise by its name."""
        broken = self._broken(number)
        by_address = [name for name, (_, own) in broken.items() if any(c.network == network for c in own)]
        named = by_address or [name for name in broken if name in usual]
        return "".join(": %s" % fault(name, broken[name][0]) for name in named[:1])

    def _passed_over(self) -> List[Problem]:
        """Report the cards that should have been used instead of the management network."""
        everywhere = [self._broken(number) for number in range(len(self.hosts))]
        meant = self._meant(everywhere)
        found: List[Problem] = []
        for host, broken, names in zip(self.hosts, everywhere, self.names):
            faults = [fault(name, reason) for name, (reason, _) in broken.items() if name in meant]
            if not faults and not set(names) & meant:
                # Its card may have a different name on this node.
                faults = [fault(name, reason) for name, (reason, _) in broken.items()] if meant else []
                faults = faults or ["%s is missing" % name for name in sorted(meant)]
            if faults:
                message = "the job would use the network that SSH uses: %s" % ", ".join(faults)
                found.append(problem("MANAGEMENT_NETWORK", host, message))
        return found

    def _meant(self, everywhere: Sequence[_Broken]) -> Set[str]:
        """Return cards in networks of two nodes; of two nodes one is enough, as the other may have lost its card."""
        nodes: Dict[str, Set[int]] = {}
        called: Dict[str, Set[str]] = {}
        for number, (names, broken) in enumerate(zip(self.names, everywhere)):
            own = [c for c in self.data[number] if network_cards.is_routed(names[c.interface])]
            own += [c for _, addresses in broken.values() for c in addresses]
            places = {(_place(c), c.interface) for c in own} | {(name, name) for name in _dark_rdma(names)}
            for place, name in places:
                nodes.setdefault(place, set()).add(number)
                called.setdefault(place, set()).add(name)
        enough = min(2, len(self.hosts) - 1)
        return {name for place, having in nodes.items() if len(having) >= enough for name in called[place]}

    def _nothing_common(self) -> List[Problem]:
        families: List[Set[Any]] = [{c.is_ipv6 for c in own} for own in self.cards]
        if all(families) and not set.intersection(*families):
            return mixed(self.hosts, self.cards)
        found = []
        for host, fact, own in zip(self.hosts, self.facts, self.cards):
            message = "no network is common to all nodes; usable on this node: %s" % (_listed(own) or "none")
            others = [c for c in network_cards.usable(fact) if c not in own and c.address not in self.repeated]
            if others:
                message += "; only by request: %s" % _listed(others)
            found.append(problem("NO_COMMON_NETWORK", host, message, "connect the nodes, or name one: --interface"))
        return found


def _place(candidate: Candidate) -> str:
    """Return what cards of several nodes have in common: a network, or a name if each node has its own network."""
    return candidate.interface if network_of(candidate.network).num_addresses <= _FEW else candidate.network


def _dark_rdma(names: network_cards.Names) -> List[str]:
    """
    Return a node's RDMA cards if none of them has a carrier; unused ports are normal beside a port with a carrier.

    Many nodes drop the addresses of cards whose cables are unplugged.
    """
    found = {name: entry for name, entry in names.items() if entry["rdma"]}
    return [] if any("RUNNING" in entry["flags"] for entry in found.values()) else list(found)


def _reaches_all(number: int, place: int, ways: List[List[_Way]]) -> bool:
    """Return whether a node's card reaches a card of every other node, and is reached from it."""
    network, address, there = ways[number][place]
    return there is not route_tables.NOWHERE and all(
        other == number or any(net == network or (peer in there and address in back) for net, peer, back in peers)
        for other, peers in enumerate(ways)
    )


class _Management:
    """The networks of the cards that SSH came in by."""

    def __init__(self, facts: Sequence[Facts]) -> None:
        found = {ip_address(fact["management_address"]) for fact in facts if fact["management_address"]}
        self.addresses = {str(address) for address in found}
        self._numbers = {version: sorted(int(a) for a in found if a.version == version) for version in (4, 6)}
        self._others = self._beside(facts)

    def _beside(self, facts: Sequence[Facts]) -> Set[str]:
        """Return other networks of these cards, such as that of IPv6, except those that a node has another card for."""
        taken_along: Set[str] = set()
        elsewhere: Set[str] = set()
        for fact in facts:
            cards = [{c.network for c in network_cards.addresses(entry)} for entry in fact["interfaces"]]
            managed = set().union(*(own for own in cards if any(map(self._came_in_by, own))))
            taken_along |= managed
            elsewhere |= set().union(*cards) - managed
        return taken_along - elsewhere

    def __contains__(self, network: str) -> bool:
        return network in self._others or self._came_in_by(network)

    def _came_in_by(self, network: str) -> bool:
        own = network_of(network)
        numbers = self._numbers[own.version]
        place = bisect_left(numbers, int(own.network_address))
        return place < len(numbers) and numbers[place] <= int(own.broadcast_address)


@lru_cache(maxsize=1 << 16)
def network_of(text: str) -> Network:
    """Parse a network in CIDR notation."""
    return ip_network(text, strict=False)


def mixed(hosts: Sequence[str], each: Sequence[Sequence[Candidate]]) -> List[Problem]:
    """Report which family each node has."""
    return [
        problem("FAMILY_MIXED", host, "has only IPv%d" % min(6 if c.is_ipv6 else 4 for c in own))
        for host, own in zip(hosts, each)
    ]


def _listed(own: Sequence[Candidate]) -> str:
    return ", ".join("%s %s" % (c.interface, c.network) for c in own)


def fault(name: str, reason: str) -> str:
    """Return what is wrong with an interface, in words."""
    return "%s %s %s" % (name, "is" if reason == "down" else "has", reason)


def ambiguous(host: str, own: Sequence[Candidate], remedy: str) -> Problem:
    """Report the interfaces to choose from."""
    text = ", ".join("%s %s" % (c.interface, c.address) for c in own)
    return problem("INTERFACE_AMBIGUOUS", host, "several interfaces qualify: %s" % text, remedy)

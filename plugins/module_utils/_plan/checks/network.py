# SPDX-License-Identifier: Apache-2.0
"""Choose every node's card and address, and compare the chosen ones. Pure; private to the collection."""

from __future__ import annotations

from dataclasses import replace
from typing import List, Sequence

from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem, problem
from ansible_collections.madctl.multinode.plugins.module_utils._common.fact_shapes import Nodes
from ansible_collections.madctl.multinode.plugins.module_utils._plan import network_choice
from ansible_collections.madctl.multinode.plugins.module_utils._plan.case import Case, Choices, Chosen
from ansible_collections.madctl.multinode.plugins.module_utils._plan.comparison import odd
from ansible_collections.madctl.multinode.plugins.module_utils._plan.network_cards import Candidate, by_name


def choose(case: Case, choices: Choices) -> Chosen:
    """Choose a network of all nodes; a single node without a requested network uses loopback."""
    request, wanted = case.request, [case.request.interface_of(host) for host in case.hosts]
    if len(case.hosts) == 1 and wanted == [None] and request.master_addr is None:
        return replace(choices, candidates=[Candidate("lo", "127.0.0.1", "127.0.0.0/8")]), []
    candidates: List[Candidate] = []
    found = unreadable(case.nodes)
    if not found:
        candidates, found = network_choice.choose(case.hosts, case.facts, wanted, request.master_addr)
    if candidates and len(case.hosts) > 1:
        found = found + compare(case.nodes, candidates)
    return replace(choices, candidates=candidates), found


def unreadable(nodes: Nodes) -> List[Problem]:
    """Return a problem for each node whose interfaces are unknown."""
    found = []
    for host, fact in nodes:
        if not fact["ifconfig"]:
            found.append(problem("NET_TOOLS_MISSING", host, "ifconfig is not installed"))
        elif fact.get("ifconfig_error"):
            message = "cannot read the output of %s -a: %s" % (fact["ifconfig"], fact["ifconfig_error"])
            found.append(problem("IFCONFIG_UNREADABLE", host, message))
    return found


def compare(nodes: Nodes, chosen: Sequence[Candidate]) -> List[Problem]:
    """Compare the MTUs of the chosen interfaces, and find NCCL files that exclude one of them."""
    own = {host: candidate for (host, _), candidate in zip(nodes, chosen)}
    mtu = [(host, by_name(facts)[own[host].interface]["mtu"]) for host, facts in nodes]
    found = odd("MTU_DIFFERS", mtu, lambda number: number, "MTU")
    for host, facts in nodes:
        for path, text in (facts["nccl_files"] or {}).items():
            for line in text.splitlines():
                name, equals, value = (part.strip() for part in line.partition("="))
                excluded = [card.interface for card in own[host].cards if not _takes(value, card.interface)]
                if equals and name == "NCCL_SOCKET_IFNAME" and excluded:
                    message = "%s sets NCCL_SOCKET_IFNAME=%s, chosen is %s" % (path, value, ", ".join(excluded))
                    found.append(problem("NCCL_CONF", host, message))
    return found


def _takes(value: str, interface: str) -> bool:
    """Return whether NCCL uses an interface: a list of prefixes, exact names after ``=``, exclusions after ``^``."""
    if len(value) < 2:
        return True  # NCCL ignores shorter values.
    names = [part.partition(":")[0] for part in value.lstrip("^=").split(",")]
    exact = value.startswith(("=", "^="))
    named = any(name == interface if exact else interface.startswith(name) for name in names if name)
    return named != value.startswith("^")

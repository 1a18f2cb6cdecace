# SPDX-License-Identifier: Apache-2.0
"""
Choose whose output to show: some nodes', or some ranks'; and explain why a choice shows nothing.

Pure; private to the collection.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Collection, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, rank_lists, ranks, runners
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import Plan
from ansible_collections.madctl.multinode.plugins.module_utils._common.spelling import meant
from ansible_collections.madctl.multinode.plugins.module_utils._show.names import fold


@dataclass(frozen=True)
class Chosen:
    """Some nodes and ranks; without names, all nodes, or all ranks and what their runners print."""

    hosts: Tuple[str, ...] = ()
    ranks: rank_lists.Ranks = ()

    def __bool__(self) -> bool:
        """Return whether it leaves out anything."""
        return bool(self.hosts or self.ranks)

    def shows(self, host: str, rank: str) -> bool:
        """Return whether output is shown; the rank of a runner is an empty text."""
        if self.hosts and host not in self.hosts:
            return False
        return not self.ranks or rank.isdigit() and rank_lists.has(self.ranks, int(rank))

    def after(self, replaced: Mapping[str, str]) -> Chosen:
        """Return the choice after a restart: spares instead of the nodes that they replace."""
        return replace(self, hosts=tuple(replaced.get(host, host) for host in self.hosts))


EVERYTHING = Chosen()


def of(hosts: Sequence[str], lists: Sequence[str]) -> Chosen:
    """Return the choice that names of hosts and valid lists of ranks make."""
    parts = [part for text in lists for part in rank_lists.parse(text)]
    return Chosen(tuple(dict.fromkeys(hosts)), rank_lists.joined(parts))


def unknown_hosts(choice: Chosen, names: Sequence[str]) -> List[codes.Problem]:
    """Find chosen nodes that a run does not have."""
    wrong = [host for host in choice.hosts if host not in names]
    if not wrong:
        return []
    message = "the run has no node %s" % ", ".join(map(repr, wrong))
    remedy = meant(wrong[0], names) or "its nodes: %s" % fold(names)
    return [codes.problem("RUN_HOST_UNKNOWN", None, message, remedy)]


def narrowed(choice: Chosen, plan: Plan) -> Plan:
    """Return a plan without the nodes of which nothing is shown, as far as it specifies their ranks."""

    def has_chosen(host: str, own: Optional[range]) -> bool:
        return host in (choice.hosts or (host,)) and (not choice.ranks or own is None or _share(choice, own))

    nodes = [node for node, own in zip(plan["nodes"], ranks.of_nodes(plan)) if has_chosen(node["host"], own)]
    return {**plan, "nodes": nodes}


def problems(choice: Chosen, plan: Plan) -> List[codes.Problem]:
    """Find why a choice shows nothing of a run, or names what the run does not have; say what it has."""
    if not plan["nodes"]:
        return []  # It waits in a queue, and has none yet.
    found = unknown_hosts(choice, [node["host"] for node in plan["nodes"]])
    if found or not choice.ranks:
        return found
    job = runners.job_of(plan["shape"], plan.get("runner"))
    if not plan["world_size"] or len(plan["nodes"]) < plan["nnodes"]:
        return []  # The known part of the run does not specify its ranks, or where they are.
    if not job.counts_ranks and not job.has_models:
        remedy = "choose nodes: --host %s" % plan["nodes"][0]["host"]
        return [codes.problem("USAGE", None, "%s has no ranks to choose from" % job.called, remedy)]
    return _without_output(choice, plan)


def _without_output(choice: Chosen, plan: Plan) -> List[codes.Problem]:
    size = plan["world_size"]
    asked, everywhere = rank_lists.named(choice.ranks), fold([node["host"] for node in plan["nodes"]])
    if any(last >= size for _, last in choice.ranks):
        beyond = tuple((max(size, first), last) for first, last in choice.ranks if last >= size)
        message = "the run has no %s" % rank_lists.named(beyond)
        return [codes.problem("USAGE", None, message, _there(((0, size - 1),), everywhere))]
    of_nodes = {node["host"]: own for node, own in zip(plan["nodes"], ranks.of_nodes(plan))}
    own_ranks = [of_nodes[host] for host in choice.hosts]
    if not choice.hosts or any(own is None or _share(choice, own) for own in own_ranks):
        return []
    message = "%s is not on %s" if asked.startswith("rank ") else "%s are not on %s"
    own_parts = rank_lists.joined([(own.start, own.stop - 1) for own in own_ranks if own])
    where = fold(choice.hosts)
    return [codes.problem("USAGE", None, message % (asked, where), _there(own_parts, where))]


def _there(parts: rank_lists.Ranks, where: str) -> str:
    name = rank_lists.named(parts)
    return "there %s %s on %s" % ("is" if name.startswith("rank ") else "are", name, where)


def silent(choice: Chosen, plan: Plan, printed: Collection[Tuple[str, str]]) -> str:
    """
    Name the chosen hosts or ranks that have printed nothing, as the beginning of a sentence; empty if all have printed.

    Args:
        printed: The hosts and ranks that have printed; the rank of a runner is an empty text.
    """
    seen = {int(rank) for _, rank in printed if rank.isdigit()}
    silent_ranks, hosts = choice.ranks, [host for host in choice.hosts if host not in {host for host, _ in printed}]
    if choice.ranks and plan["world_size"] and not choice.hosts:
        # If hosts are chosen as well, it may not be known which of the ranks are on them.
        kept = [range(first, min(last + 1, plan["world_size"])) for first, last in choice.ranks]
        silent_ranks = rank_lists.joined([(rank, rank) for some in kept for rank in some if rank not in seen])
    elif seen:
        silent_ranks = ()
    if silent_ranks:
        name = rank_lists.named(silent_ranks)
        return "%s %s" % (name, "has" if name.startswith("rank ") else "have")
    if choice.hosts and not choice.ranks:
        return "%s %s" % (fold(hosts), "has" if len(hosts) == 1 else "have") if hosts else ""
    return "the run has" if not printed else ""


def _share(choice: Chosen, own: range) -> bool:
    return any(first < own.stop and last >= own.start for first, last in choice.ranks)

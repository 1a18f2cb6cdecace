# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare all nodes of the play in one respect: network, storage or GPUs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.madctl.multinode.plugins.module_utils._common import catalog, visible_gpus
from ansible_collections.madctl.multinode.plugins.module_utils._common.fact_shapes import Facts
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import Proof
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import proving
from ansible_collections.madctl.multinode.plugins.module_utils._plan import network_choice
from ansible_collections.madctl.multinode.plugins.module_utils._plan.checks import gpus, network, storage
from ansible_collections.madctl.multinode.plugins.module_utils._plan.checks.proof import judge as judge_proof
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes.variables import plain
from ansible_collections.madctl.multinode.plugins.plugin_utils._run import hosting, play_rules
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import playbook_screen


class ActionModule(ActionBase):
    """Run once per play; ``nodes`` of the result has an entry for every node."""

    BYPASS_HOST_LOOP = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Return ``nodes`` by host, or fail with ``problems``."""
        super().run(tmp, task_vars)
        play_rules.require(self._task, task_vars)
        arguments = self._task.args
        hosts = list(task_vars["ansible_play_hosts_all"])
        results = {host: task_vars["hostvars"][host].get(arguments["facts_from"], {}) for host in hosts}
        facts = {host: plain(result["node"]) for host, result in results.items() if "node" in result}
        found = [plain(result["problem"]) for result in results.values() if "problem" in result]
        nodes: dict[str, Any] = {}
        if facts:
            judge = {"network": self._network, "storage": self._storage, "gpus": self._gpus}[arguments["about"]]
            nodes, judged = judge(facts, arguments, task_vars)
            found += judged
        problems = [entry for entry in found if not catalog.is_warning(entry["code"])]
        warnings = playbook_screen.lines([entry for entry in found if catalog.is_warning(entry["code"])])
        if problems:
            return {
                "failed": True,
                "msg": playbook_screen.message(problems),
                "problems": problems,
                "warnings": warnings,
            }
        return {"changed": False, "nodes": nodes, "warnings": warnings}

    @staticmethod
    def _network(facts: dict[str, Facts], arguments: dict[str, Any], _: Any) -> tuple[dict[str, Any], list[Any]]:
        unreadable = network.unreadable(list(facts.items()))
        if unreadable:
            return {}, unreadable
        hosts, each = list(facts), list(facts.values())
        chosen, problems = network_choice.choose(hosts, each, arguments.get("interface") or None)
        rows = network_choice.explain(hosts, each, chosen)
        found = {host: dict(asdict(one), candidates=rows[host]) for host, one in zip(hosts, chosen)}
        return found, problems + (network.compare(list(facts.items()), chosen) if chosen else [])

    def _storage(
        self, facts: dict[str, Facts], arguments: dict[str, Any], task_vars: Any
    ) -> tuple[dict[str, Any], list[Any]]:
        nodes = list(facts.items())
        types = plain(arguments.get("fstypes") or [])
        problems, reading = storage.judge_mounts(nodes, types), storage.reading(nodes, types)
        proof: dict[str, Proof] = {
            host: {"read": reading[host], "written": storage.written(fact)} for host, fact in nodes
        }
        if any(wanted["written"] for wanted in proof.values()):
            with hosting.agents_of(self, task_vars, list(facts)) as agents:
                results = proving.run(proof, agents)
            problems += judge_proof(proving.due(proof), results)
        return {host: {"mounts": fact["mounts"]} for host, fact in nodes}, problems

    @staticmethod
    def _gpus(facts: dict[str, Facts], _: Any, __: Any) -> tuple[dict[str, Any], list[Any]]:
        nodes: list[tuple[str, Facts]] = [
            (host, {**fact, "gpus": visible_gpus.seen(fact["gpus"], fact.get("visible") or {})})
            for host, fact in facts.items()
        ]
        _, problems = gpus.processes(nodes, "auto", "same")
        return {host: fact["gpus"] for host, fact in nodes}, problems + gpus.faults(nodes)

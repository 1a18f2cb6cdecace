# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge one thing across all nodes of the play, once: their network, their storage or their GPUs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.madctl.multinode.plugins.module_utils import _codes, _network, _storage


class ActionModule(ActionBase):
    """Run once a play; ``nodes`` of the result has an entry for every node."""

    BYPASS_HOST_LOOP = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Return ``nodes`` by host, or fail with ``problems``."""
        super().run(tmp, task_vars)
        arguments = self._task.args
        hosts = list(task_vars["ansible_play_hosts_all"])
        results = {host: task_vars["hostvars"][host].get(arguments["facts_from"], {}) for host in hosts}
        problems = [result["problem"] for result in results.values() if "problem" in result]
        facts = {host: result["node"] for host, result in results.items() if "node" in result}
        nodes, found = getattr(self, "_" + arguments["about"])(facts, arguments)
        problems += found
        if problems:
            text = "\n".join(_codes.line(entry) for entry in problems)
            return {"failed": True, "msg": text, "problems": problems}
        return {"changed": False, "nodes": nodes}

    @staticmethod
    def _network(facts: dict[str, Any], arguments: dict[str, Any]) -> tuple[dict[str, Any], list[Any]]:
        chosen, problems = _network.choose(list(facts), list(facts.values()), arguments.get("interface") or None)
        return {host: asdict(candidate) for host, candidate in zip(facts, chosen)}, problems

    @staticmethod
    def _storage(facts: dict[str, Any], arguments: dict[str, Any]) -> tuple[dict[str, Any], list[Any]]:
        problems = _storage.judge(list(facts.items()), arguments.get("paths", []))
        return {host: {"mounts": fact["mounts"]} for host, fact in facts.items()}, problems

    @staticmethod
    def _gpus(facts: dict[str, Any], _: dict[str, Any]) -> tuple[dict[str, Any], list[Any]]:
        counts = {host: fact["gpus"]["count"] for host, fact in facts.items()}
        problems = []
        if len(set(counts.values())) > 1:
            found = ", ".join("%s %d" % pair for pair in counts.items())
            problems = [_codes.problem("GPU_COUNT_DIFFERS", None, "nodes have different numbers of GPUs: " + found)]
        return {host: fact["gpus"] for host, fact in facts.items()}, problems

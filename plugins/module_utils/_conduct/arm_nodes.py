# SPDX-License-Identifier: Apache-2.0
"""Prove and arm all nodes of a plan, and open a channel to each supervisor. Private to the collection."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from functools import partial
from typing import Any, Dict, Mapping, Optional, Set

from ansible_collections.madctl.multinode.plugins.module_utils._common import job_directory, run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import ArmingRequest, Plan
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import bundles, proving
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.streams import Answer, Task
from ansible_collections.madctl.multinode.plugins.module_utils._follow.follower import Follower
from ansible_collections.madctl.multinode.plugins.module_utils._plan.runners import order

_END_SECONDS = 15.0
# In addition to the supervisor's own time: for the proof, and for a busy node.
_MORE_SECONDS = 30.0


class Arming:
    """Proves and arms all nodes while the follower's loop turns; a context manager that leaves no node armed."""

    def __init__(self, plan: Plan, given: Mapping[str, Any], agents: Agents, follower: Follower) -> None:
        """
        Prepare to arm.

        Args:
            given: What every node's spec has beside the plan: ``user_env``, ``own_env``, ``timeout``, ``log_cap``,
                ``in_step``, perhaps ``samples``, a directory that others see; and in the run's description:
                ``name``, ``note``.
        """
        self._plan, self._given, self._agents, self._follower = plan, given, agents, follower
        self._nodes = {node["host"]: node for node in plan["nodes"]}
        delivered = bundles.delivered()
        self._programs = {bundles.path(name): name for name in bundles.programs()}
        self._digest = hashlib.sha256(json.dumps(delivered, sort_keys=True).encode()).hexdigest()
        shown = ("runner", "shape", "master_addr", "master_port", "nnodes", "world_size")
        self._about = {
            "run_id": plan["run_id"],
            "hosts": list(self._nodes),
            "work": plan["work"],
            "addresses": [node["address"] for node in plan["nodes"]],
            "plan": {key: value for key, value in plan.items() if key in shown},
            **{key: given[key] for key in ("name", "note") if given.get(key)},
        }
        kept = plan.get("restart")
        self._origin = kept["request"]["run_id"] if kept else plan["run_id"]
        self._relay_key = secrets.token_hex(32)
        self.proof: Dict[str, Dict[str, Any]] = {}
        self.armed: Set[str] = set()
        self._cut_off: Set[str] = set()
        self._round = proving.Round(agents, self._nodes, proving.head(plan["proof"]), self._task)

    def __enter__(self) -> Arming:
        self._round.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()
        if self._cut_off:
            self._end()

    def cancel(self) -> None:
        """Arm no more nodes, and stop waiting."""
        self._cut_off |= self._round.cancel()
        for host in self._nodes:
            self._follower.given_up(host)

    def _end(self) -> None:
        """End what was armed on nodes that were cut off before they could report it."""
        asked = {"run_id": self._plan["run_id"], "grace": 0.0, "dry_run": False, "halt": False}
        bases = {host: os.path.dirname(self._nodes[host]["run_dir"]) for host in self._cut_off}
        requests = {host: {**asked, "base": base} for host, base in bases.items()}
        # A node that does not answer disarms itself: when it has no follower, or when the time for the start is over.
        self._agents.ask(requests, "_runs.run_end:end", _END_SECONDS)

    def _task(self, host: str, news: Dict[str, Any]) -> Task:
        return Task(
            "_arm.arming:arm",
            self._request(host, news),
            partial(self._answered, host),
            float(self._plan["start_timeout"]) + _MORE_SECONDS,
            finishes=True,
            delivers=True,
            arms=self._nodes[host]["run_dir"],
        )

    def _request(self, host: str, news: Dict[str, Any]) -> ArmingRequest:
        plan, node = self._plan, self._nodes[host]
        own = order.on_node(plan, node, self._relay_key)
        code = plan.get("code") or {}
        return {
            **node,
            # The files contain these.
            "rank_argv": None,
            "model": None,
            "files": {**own["files"], run_directory.HOST_FILE: plan["hostfile"]},
            "relay": own["relay"],
            "after": own["after"],
            "run_id": plan["run_id"],
            "origin": self._origin,
            "lock": plan["lock"],
            "beacon": plan["beacon"],
            "start_timeout": plan["start_timeout"],
            "grace": plan["grace"],
            "timeout": self._given["timeout"],
            "log_cap": self._given["log_cap"],
            "in_step": self._given["in_step"],
            "samples": self._samples(host),
            "user_env": {**self._given["user_env"], **self._given.get("own_env", {}).get(host, {})},
            "setup": plan.get("setup"),
            "proof": proving.request(plan["proof"], host, news),
            "about": {**self._about, "host": host, "node_rank": node["node_rank"]},
            "programs": self._programs,
            "digest": self._digest,
            "tree": code.get("tree"),
            "trees": code.get("trees"),
        }

    def _samples(self, host: str) -> Optional[str]:
        """Return where others find the latest sample of a node, in case the nodes themselves cannot be queried."""
        place = self._given.get("samples")
        return os.path.join(place, host + job_directory.SAMPLES) if place else None

    def _answered(self, host: str, answer: Answer) -> None:
        self.proof[host] = answer.get("proof", {"msg": _reason(answer)})
        if "container" in answer:
            self.armed.add(host)
            # A service is started by systemd, not by the agent.
            self._agents.starts += answer["container"] == "systemd"
            follower = self._follower
            heard, over = partial(follower.heard, host), partial(follower.ended, host)
            follower.armed(host, self._agents.relay(host, self._nodes[host]["run_dir"], heard, over))
        elif answer.get("stopped"):
            self._follower.halted(host)
        else:
            self._follower.not_armed(host, _reason(answer), is_setup=bool(answer.get("setup")))


def _reason(answer: Answer) -> str:
    return " ".join(answer.get("msg", "").split())[-400:]

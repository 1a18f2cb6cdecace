# SPDX-License-Identifier: GPL-3.0-or-later
"""
Arm all nodes of a plan: deliver a supervisor to each and open a channel to it.

The way to a node opens the channel, a Unix socket of the node, and is told of it before the supervisor is started.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import signal
import socket
import threading
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common import run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import ArmingRequest, Plan
from ansible_collections.madctl.multinode.plugins.module_utils._follow.follower import Follower
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes import ask_nodes, fan_out, remote_program
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes.way import Ways
from ansible_collections.madctl.multinode.plugins.plugin_utils._run import proving

# What nodes start from files; madctl_node starts all but those that stand alone, the wrapper of a rank and the agent.
_PROGRAMS = (
    *(run_directory.SUPERVISOR, run_directory.MADENGINE_WRAPPER, run_directory.CONTAINER_REMOVAL),
    *("rank_wrapper", "mpi_agent"),
)
_MODULES = remote_program.parts("_arm.arming")
_END_SECONDS = 15.0


class Arming:
    """Prove and arm all nodes, a bounded number at a time, beside the loop of the follower."""

    def __init__(self, plan: Plan, given: dict[str, Any], ways: Ways) -> None:
        """
        Prepare to arm.

        Args:
            given: What is no part of the plan but of every node's spec: ``user_env``, ``timeout``, ``log_cap``.
        """
        self._plan, self._given, self._ways = plan, given, ways
        self._nodes = {node["host"]: node for node in plan["nodes"]}
        self._programs = delivered()
        self._digest = hashlib.sha256(json.dumps(self._programs, sort_keys=True).encode()).hexdigest()
        shown = ("runner", "shape", "master_addr", "master_port", "nnodes", "world_size")
        self._about = {
            "run_id": plan["run_id"],
            "hosts": list(self._nodes),
            "work": plan["work"],
            "addresses": [node["address"] for node in plan["nodes"]],
            "plan": {key: value for key, value in plan.items() if key in shown},
        }
        kept = plan.get("restart")
        self._origin = kept["request"]["run_id"] if kept else plan["run_id"]
        self._relay_key = secrets.token_hex(32)
        self._lock = threading.Lock()
        self._done: list[tuple[str, socket.socket | None, dict[str, Any]]] = []
        self.proof: dict[str, dict[str, Any]] = {}
        self.armed: set[str] = set()
        self._cut_off: set[str] = set()
        self.news, self._post = os.pipe()
        head = next((host for host, wanted in plan["proof"].items() if "listen" in wanted), None)
        self._round = fan_out.Round(ways, head, self._program, self._armed)

    def __enter__(self) -> Arming:
        self._round.start({host: node["run_dir"] for host, node in self._nodes.items()})
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()
        self._round.close()
        if self._cut_off:
            self._end()
        for way in self._ways.values():
            way.close()

    def pass_on(self, follower: Follower) -> None:
        """Give the follower what became of a node."""
        os.read(self.news, 1)
        with self._lock:
            host, channel, answer = self._done.pop(0)
        if channel is not None:
            follower.armed(host, channel)
        elif answer.get("stopped"):
            follower.halted(host)
        else:
            follower.not_armed(host, _reason(answer))

    def cancel(self) -> None:
        """Arm no more nodes, and wait for none."""
        self._round.cancel()

    def _end(self) -> None:
        """
        End what was armed on nodes that were cut off before they could say so.

        One that arms after we looked notices that nobody waits for its word; one that does not answer us
        disarms itself after the time for the start.
        """
        ways = {host: self._ways[host] for host in self._cut_off}
        asked = {"run_id": self._plan["run_id"], "grace": 0.0, "dry_run": False, "halt": False}

        def request(host: str) -> dict[str, Any]:
            return {**asked, "base": os.path.dirname(self._nodes[host]["run_dir"])}

        ask_nodes.ask(ways, remote_program.parts("_runs.run_state"), "end", request, _END_SECONDS)

    def _program(self, host: str, news: dict[str, Any]) -> remote_program.Program:
        plan, node = self._plan, self._nodes[host]
        request: ArmingRequest = {
            **node,
            "run_id": plan["run_id"],
            "origin": self._origin,
            "runner": plan["runner"],
            "shape": plan["shape"],
            "hostfile": plan["hostfile"],
            "lock": plan["lock"],
            "beacon": plan["beacon"],
            "start_timeout": plan["start_timeout"],
            "grace": plan["grace"],
            "timeout": self._given["timeout"],
            "log_cap": self._given["log_cap"],
            "user_env": self._given["user_env"],
            "relay_key": self._relay_key,
            "proof": proving.request(plan["proof"], host, news),
            "about": {**self._about, "host": host, "node_rank": node["node_rank"]},
            "programs": self._programs,
            "digest": self._digest,
        }
        return remote_program.Program("arm", _MODULES, request, speaks=True)

    def _armed(self, host: str, answer: dict[str, Any]) -> None:
        channel = None
        if "container" in answer:
            self.armed.add(host)
            channel = self._ways[host].channel(self._nodes[host]["run_dir"])
        elif answer.get("rc") == -signal.SIGKILL:
            self._cut_off.add(host)
        with self._lock:
            self.proof[host] = answer.get("proof", {"msg": _reason(answer)})
            self._done.append((host, channel, answer))
        os.write(self._post, b".")


def delivered() -> dict[str, str]:
    """Give the text of every file that nodes keep, by its path: the programs, and all that they import."""
    modules = remote_program.closure(*("_supervise." + name for name in _PROGRAMS))
    files = {name.replace(".", "/") + ".py": remote_program.source(name) for name in modules}
    return {**files, run_directory.LAUNCHER: remote_program.source("_supervise.madctl_node")}


def _reason(answer: dict[str, Any]) -> str:
    return " ".join(answer.get("msg", "").split())[-400:]

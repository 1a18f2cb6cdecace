# SPDX-License-Identifier: Apache-2.0
"""Sample the resource usage of a run on its nodes, about once a second, each node at its own pace. Private."""

from __future__ import annotations

from functools import partial
from typing import Any, Dict, NamedTuple, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, usage
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import Plan
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import find_run
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.streams import Answer, Task

MEASURE = "_runs.measuring:measure"
# If a vendor's tool has to run, an answer takes some seconds.
_SECONDS = 20.0
_PAUSE, _LATER = 1.0, 5.0
# Over a shorter time, a share is inaccurate: usage is counted in hundredths of a second.
_LEAST_PAUSE = 0.4


class Node(NamedTuple):
    """
    What is known of one node.

    ``state`` is None until it answers for the first time, and ``problem`` says why it does not answer now. ``sample``
    is the last one, and ``heard`` when it came, by the clock of the loop.
    """

    state: Optional[str] = None
    sample: Optional[Dict[str, Any]] = None
    problem: Optional[codes.Problem] = None
    heard: float = 0.0

    @property
    def is_settled(self) -> bool:
        """Whether there is something to show for it."""
        is_going = self.state == "running" and self.problem is None
        return bool(self.problem or (self.state is not None and (self.sample or not is_going)))

    @property
    def is_over(self) -> bool:
        """Whether the run is over on it."""
        return self.state is not None and self.state not in usage.GOING


class Sampling:
    """Keeps ``nodes``, by host, up to date while the loop of the agents turns."""

    def __init__(self, agents: Agents, plan: Plan) -> None:
        self._agents, self._run_id = agents, plan["run_id"]
        self._places = {node["host"]: node.get("run_dir") for node in plan["nodes"] if node["host"] in agents.ways}
        self._before: Dict[str, Dict[str, Any]] = {}
        self._silent_gpus: Dict[str, str] = {}
        self.nodes: Dict[str, Node] = dict.fromkeys(self._places, Node())

    def start(self) -> None:
        """Ask all nodes for the first time."""
        for host in self._places:
            self._ask(host)

    @property
    def is_settled(self) -> bool:
        """Whether there is something to show for every node."""
        return all(node.is_settled for node in self.nodes.values())

    @property
    def is_over(self) -> bool:
        """Whether the run is over on every node."""
        return all(node.is_over for node in self.nodes.values())

    def _ask(self, host: str) -> None:
        asks = host not in self._silent_gpus
        request = {"run_id": self._run_id, "run_dir": self._places[host], "asks_gpus": asks}
        began = self._agents.loop.time()
        self._agents.call(host, Task(MEASURE, request, partial(self._take, host, began), _SECONDS))

    def _take(self, host: str, began: float, answer: Answer) -> None:
        now = self._agents.loop.time()
        if "state" not in answer:
            problem = answer.get("problem") or find_run.silence(self._agents.ways[host], str(answer["msg"]))
            self.nodes[host] = self.nodes[host]._replace(problem=problem)
            self._before.pop(host, None)
            self._again(host, _LATER)
            return
        # Before the first answer, time was spent on connecting.
        took = now - began if host in self._before else 0.0
        self.nodes[host] = self._node(host, answer, now)
        if not self.nodes[host].is_over:
            self._again(host, max(_LEAST_PAUSE, _PAUSE - took))

    def _node(self, host: str, answer: Answer, now: float) -> Node:
        measured, before = answer["measured"], self._before.get(host)
        if measured is None:
            # The sample received here may be newer than the one that the node has kept.
            known = [sample for sample in (answer["kept"], self.nodes[host].sample) if sample is not None]
            return Node(answer["state"], max(known, key=lambda sample: float(sample["time"]), default=None), None, now)
        if measured["gpus_error"] == usage.HUNG:
            self._silent_gpus[host] = usage.HUNG
        measured["gpus_error"] = measured["gpus_error"] or self._silent_gpus.get(host)
        self._before[host] = measured
        return Node(answer["state"], usage.sample(before, measured) if before else None, None, now)

    def _again(self, host: str, seconds: float) -> None:
        self._agents.loop.after(seconds, lambda: self._ask(host))

# SPDX-License-Identifier: Apache-2.0
"""The source of a run's samples: its nodes, by our own agents, or the files of a Slurm job."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from ansible_collections.madctl.multinode.plugins.module_utils._common import job_directory, usage
from ansible_collections.madctl.multinode.plugins.module_utils._common.event_loop import Loop
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import sampling
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.sampling import Node
from madctl.errors import ExitCode, RunError, refused
from madctl.jobs import attempts, place
from madctl.nodes import reach
from madctl.playbook import ask, job_login, job_verbs
from madctl.records.run_record import Record

_LOOK_SECONDS = 1.0


class Source(Protocol):
    """Keeps ``nodes`` up to date while its loop runs."""

    loop: Loop
    nodes: dict[str, Node]

    @property
    def is_settled(self) -> bool:
        """Whether there is something to show for every node."""

    @property
    def is_over(self) -> bool:
        """Whether the run is over on every node."""


@contextmanager
def source(record: Record) -> Iterator[Source]:
    """
    Open the source of a run's samples.

    Raises:
        UsageError: If there is none for this kind of run.
        RunError: If its nodes cannot be reached.
    """
    if record.job is None:
        with Agents(Loop(), _ways(record)) as agents:
            yield _OfNodes(agents, record)
        return
    if record.job["on"] == "k8s":
        what = f"kubectl top pod --namespace {record.job['namespace']}"
        message = f"run {record.run_id} is in Kubernetes, where madctl reads no samples"
        raise refused("USAGE", message, remedy=f"see {what}; for GPUs, the metrics of your cluster")
    if job_login.is_elsewhere(record):
        host = record.job["login"]["names"][0]
        message = f"the samples of run {record.run_id} are on {host}"
        raise refused("USAGE", message, remedy=f"run madctl top there, or see sstat -j {record.job['id']}")
    yield _OfJob(record)


def _ways(record: Record) -> Any:
    ways = reach.ways(record.reach())
    if ways is None:
        _, record = ask.nodes_of_run("status", record, {})
        ways = reach.ways(record.reach())
    gone = ask.missing_inventory(record)
    if gone:
        raise RunError(ExitCode.UNREACHABLE, gone)
    if ways is None:
        message = f"the nodes of run {record.run_id} are reached in a way that only Ansible knows"
        raise refused("USAGE", message, remedy="top needs plain SSH, and an inventory without programs and secrets")
    return ways


class _OfNodes(sampling.Sampling):
    """The nodes of a run."""

    def __init__(self, agents: Agents, record: Record) -> None:
        super().__init__(agents, record.plan)  # type: ignore[arg-type]
        self.loop = agents.loop
        self.start()


def _is_name(host: str) -> bool:
    """Return whether a host name from a file of the job is safe as part of a file name."""
    return host.isprintable() and "/" not in host


class _OfJob:
    """The files that the nodes of a job write, with the newest sample of each node, some seconds old."""

    def __init__(self, record: Record) -> None:
        self.loop = Loop()
        self.nodes: dict[str, Node] = {}
        self._record = record
        self._look()

    @property
    def is_settled(self) -> bool:
        """Whether to show the samples now: waiting would not bring more of them soon."""
        return True

    @property
    def is_over(self) -> bool:
        """Whether the run is over on every node."""
        return bool(self.nodes) and all(node.is_over for node in self.nodes.values())

    def _look(self) -> None:
        stands, self._record = job_verbs.stands(self._record)
        assert self._record.job is not None
        base = Path(self._record.job["place"])
        where = attempts.where(base, attempts.last(base)) / job_directory.KEPT
        self.nodes = {host: self._node(where, host, known) for host, known in stands.nodes.items()}
        self.loop.after(_LOOK_SECONDS, self._look)

    def _node(self, where: Path, host: str, known: Mapping[str, Any]) -> Node:
        found = place.read(where, host + job_directory.SAMPLES) if _is_name(host) else None
        sample = found["samples"][-1] if found and usage.is_file(found) and found["samples"] else None
        old = max(0.0, time.time() - sample["time"]) if sample else 0.0
        return Node(str(known["state"]), sample, None, self.loop.time() - old)

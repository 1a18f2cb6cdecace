# SPDX-License-Identifier: Apache-2.0
"""
The follower's part in mpirun: deliver its requests to other nodes, and find the node at fault when ranks are late.

Private to the collection.
"""

from __future__ import annotations

import json
import time
from typing import Any, Callable, Dict, Optional, Sequence, Set

from ansible_collections.madctl.multinode.plugins.module_utils._common import events, runners, wire
from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem, problem
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import Plan
from ansible_collections.madctl.multinode.plugins.module_utils._follow import run_outcome
from ansible_collections.madctl.multinode.plugins.module_utils._follow.node_run import NodeRun

Order = Callable[[str, bytes], None]  # host, what its supervisor gets


class Daemons:
    """The MPI daemons of one run."""

    def __init__(self, plan: Plan, runs: Sequence[NodeRun], order: Order, stop: Callable[[Problem], None]) -> None:
        self._plan, self._runs, self._order, self._stop = plan, runs, order, stop
        self._late = False
        # What we observed ourselves: when the run began, and whose daemons mpirun requested.
        self.began: Optional[float] = None
        self._wanted: Set[str] = set()
        # Daemons that scripts in containers have not reached yet, by host.
        self._owed: Dict[str, int] = {}

    def bring(self, request: Dict[str, Any]) -> None:
        """Deliver a request to its node; the seal lets both ends check that it is genuine."""
        message = {key: request[key] for key in ("address", "serial", "command", "seal")}
        for run, node in zip(self._runs, self._plan["nodes"]):
            if node["address"] == request["address"]:
                self._wanted.add(run.host)
                self._owed[run.host] = self._owed.get(run.host, 0) + 1
                self._order(run.host, json.dumps(message).encode() + b"\n")
                if run.exit is not None:
                    self._miss(run)

    def begun(self, run: NodeRun) -> None:
        """Record that a script has reached its daemon."""
        self._owed[run.host] = self._owed.get(run.host, 1) - 1

    def over(self, serial: int) -> None:
        """Tell the first node that a daemon has ended, in case its agent still waits for it to connect."""
        self._order(self._runs[0].host, json.dumps({"ended": serial}).encode() + b"\n")

    def _miss(self, run: NodeRun) -> None:
        """Stop on behalf of a node whose scripts have ended without the daemon that mpirun still waits for."""
        if runners.job_of(self._plan["shape"], self._plan.get("runner")).has_models and self._owed.get(run.host):
            message = "its script ended without calling the runner, and mpirun on %s waits for it" % self._runs[0].host
            remedy = "call $MAD_MULTI_NODE_RUNNER on all nodes"
            found = problem("MODEL_FAILED", run.host, message, remedy)
            run.fail(time.time(), found)
            self._stop(found)

    def late(self, run: NodeRun, header: Dict[str, Any]) -> None:
        """Record that ranks on a node did not join in time."""
        self._late = True
        self._blame(run, header)

    def ended(self, run: NodeRun, header: Dict[str, Any]) -> None:
        """Record how a node ended; once mpirun itself has ended, no more daemons are needed."""
        if header.get("stopped") and self._late:
            self._blame(run, header)
        if self._runs[0].exit is None and not header.get("stopped"):
            self._miss(run)
        if run.node_rank == 0 and runners.ranks_by(self._plan.get("runner")).daemons:
            for other in self._runs:
                if other is not run:
                    self._order(other.host, wire.END)

    def _blame(self, run: NodeRun, header: Dict[str, Any]) -> None:
        """Blame the node whose daemon did not reach mpirun; mpirun and all other nodes only waited for it."""
        daemon: Optional[str] = header.get("daemon")
        # Unknown to a follower that attaches by the run's id alone.
        seconds = self._plan.get("start_timeout") or 0.0
        within = " in %g s" % seconds if seconds else ""
        now, first = time.time(), self._runs[0]
        at = run.date(header.get("time", now), now)
        if daemon == events.UNASKED and self._is_known_better(run, seconds):
            message = "it did not start its MPI daemon, and reports that it was not asked to"
            run.fail(at - seconds, problem("DAEMON_NOT_READY", run.host, message, self._logs(run.host)))
        elif daemon == events.UNASKED:
            message = "mpirun did not ask for the daemon of %s%s" % (run.host, within)
            first.fail(at - seconds, problem("DAEMON_NOT_READY", first.host, message, self._logs(first.host)))
        elif daemon:
            message = "its MPI daemon got no answer from %s%s" % (daemon, within)
            run.fail(at - seconds, problem("DAEMON_NOT_READY", run.host, message, "open the ports between nodes"))
        elif run is first:
            message = "mpirun did not start all ranks%s" % within
            run.fail(at, problem("DAEMON_NOT_READY", run.host, message, self._logs(run.host)))

    def _logs(self, host: str) -> str:
        return run_outcome.logs_of(self._plan, host)

    def _is_known_better(self, run: NodeRun, seconds: float) -> bool:
        """Return whether a node wrongly reports that mpirun did not request its daemon in time."""
        early = self.began is not None and time.monotonic() - self.began < seconds / 2
        return run.host in self._wanted or early

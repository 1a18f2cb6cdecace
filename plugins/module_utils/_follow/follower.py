# SPDX-License-Identifier: Apache-2.0
"""
Start a run on all channels at once and follow all nodes to the end. Private to the collection.

It deals with channels and frames, not with Ansible. A channel leads to one node's supervisor, or to a reader of its
files. What happens when a channel ends too early is in ``suspects``.
"""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, events, ranks, run_directory, wire
from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem, problem
from ansible_collections.madctl.multinode.plugins.module_utils._common.event_loop import Loop
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import Plan
from ansible_collections.madctl.multinode.plugins.module_utils._follow import mpi_daemons, run_outcome
from ansible_collections.madctl.multinode.plugins.module_utils._follow.door import Door
from ansible_collections.madctl.multinode.plugins.module_utils._follow.node_run import NodeRun
from ansible_collections.madctl.multinode.plugins.module_utils._follow.orders import Channel, Orders
from ansible_collections.madctl.multinode.plugins.module_utils._follow.suspects import Suspects, Way

Listener = Callable[[Dict[str, Any], bytes], None]
Header = Dict[str, Any]

HELD_SECONDS = 0.05


class Follower:
    """Follows one run; ``tell`` gets every event with its ``host``, in order of arrival."""

    def __init__(
        self,
        plan: Plan,
        tell: Listener,
        loop: Loop,
        ways: Mapping[str, Way],
        read_only: bool = False,
        begun: bool = False,
        to_end: bool = True,
    ) -> None:
        """
        Prepare to follow.

        Args:
            ways: What is known of the way to each node.
            read_only: Whether neither a failure nor an interrupt may stop the run.
            begun: Whether the run was started before, by another command.
            to_end: Whether the run is followed to its end, or only read as far as it is now.
        """
        self.plan, self.tell, self._loop, self._ways = plan, tell, loop, ways
        self._begun = begun
        self.orders = Orders(tell, read_only, begun)
        self.channels = self.orders.channels
        self.runs = [
            NodeRun(node["host"], node["node_rank"], node.get("clock_offset") or 0.0, own=own)
            for node, own in zip(plan["nodes"], ranks.of_nodes(plan))
        ]
        self.suspects = Suspects(self.runs, ways, tell, self._lost, loop.time, may_sweep=not read_only)
        self.refused: List[Problem] = []
        self.is_over = False
        self._daemons = mpi_daemons.Daemons(plan, self.runs, self.orders.give, self.orders.stop)
        self._by_host = {run.host: run for run in self.runs}
        self._awaited = set(self._by_host)
        self._doors = {run.host: Door(run, plan, to_end) for run in self.runs}
        self._decoders: Dict[str, wire.Decoder] = {}
        # Whether the reader of events accepts no more for now; orders and timers are still served.
        self.is_held: Callable[[], bool] = lambda: False
        self._spoke_at = self._loop.time()
        # The kinds of events that are not passed on.
        self._for_us: Dict[str, Callable[[NodeRun, Header], None]] = {
            events.READY: self._ready,
            events.REFUSED: self._run_unknown,
            events.END: lambda run, _: self._drop(run.host),  # A reader that does not follow has everything it wanted.
            events.STOPPING: self._stopping_there,
            events.DAEMON_WANTED: self._daemon_wanted,
            events.DAEMON_BEGUN: lambda run, _: self._daemons.begun(run),
            events.DAEMON_ENDED: lambda _, header: self._daemons.over(header["serial"]),
            events.LATE: self._late,
        }

    # -- before the start -------------------------------------------------------------------------

    def armed(self, host: str, channel: Channel) -> None:
        """Follow a node from now on; stop it if the others were already stopped."""
        self._awaited.discard(host)
        self._by_host[host].suspected_at = None
        self._decoders[host] = wire.Decoder()
        self.orders.join(host, channel)

    def not_armed(self, host: str, reason: str, is_setup: bool = False) -> None:
        """Record that a node could not be armed, perhaps because of its setup; the launch is abandoned."""
        self._awaited.discard(host)
        if not self.orders.interrupted:
            nothing = problem("NODE_NOT_READY", host, reason, "nothing was started on any node")
            self._by_host[host].fail(time.time(), codes.setup_failed(host, reason) if is_setup else nothing)

    def unreached(self, host: str) -> None:
        """Record that no channel to a node could be opened."""
        self._awaited.discard(host)
        self._closed(self._by_host[host])

    def given_up(self, host: str) -> None:
        """Stop waiting for a node, through no fault of its own."""
        self._awaited.discard(host)

    def halted(self, host: str) -> None:
        """Record that the run was stopped before a node was armed; no node starts."""
        self._awaited.discard(host)
        self.orders.stop_for(problem("RUN_STOPPED", None, "the run was stopped before it started"))

    def refuse(self, problems: List[Problem]) -> None:
        """Record what the proof found; nothing starts."""
        for found in problems:
            run = self._by_host[found["host"]] if found["host"] else self.runs[0]
            run.fail(time.time(), found)
        self.refused = problems

    def wait_ready(self, seconds: float) -> bool:
        """Wait until every supervisor answers, and return whether all did; record a failure with its node."""
        deadline = self._loop.time() + seconds
        while not all(run.ready or run.failure for run in self.runs) and self._loop.time() < deadline:
            self._turn(deadline - self._loop.time())
            if self.orders.interrupted or self.orders.detached:
                return False
        for run in self.runs:
            if not run.ready and not run.failure:
                self._awaited.discard(run.host)
                message = "its supervisor did not answer in %g s" % seconds
                run.fail(time.time(), problem("NODE_NOT_READY", run.host, message))
        return not any(run.failure for run in self.runs)

    def go(self) -> None:
        """Start all runners."""
        self._spoke_at, self._daemons.began = self._loop.time(), time.monotonic()
        self.orders.go()

    def wait_started(self, seconds: float) -> None:
        """Wait until every runner was started, or one could not be started."""
        deadline = self._loop.time() + seconds
        while not all(run.started_at or run.failure or run.exit for run in self.runs) and self._loop.time() < deadline:
            self._turn(deadline - self._loop.time())

    # -- until the end ----------------------------------------------------------------------------

    def follow(self, idle_timeout: Optional[float] = None) -> None:
        """Read events until every node's run is over or lost, or no node prints for ``idle_timeout`` seconds."""
        while not self.orders.detached and (self._awaited or any(map(self._is_open, self.runs))):
            suspects = self.suspects.all()
            self._turn(1.0 if suspects or idle_timeout else None)
            for run in suspects:
                self.suspects.judge(run)
            if idle_timeout and not suspects and self.orders.has_gone and not self.orders.stopping:
                self._judge_silence(idle_timeout)
        self.is_over = True

    def _is_open(self, run: NodeRun) -> bool:
        waiting = run.exit is None and (run.host in self.channels or run.suspected_at is not None)
        return waiting or run.sweeping

    def _judge_silence(self, seconds: float) -> None:
        if self._loop.time() - self._spoke_at > seconds:
            self.tell({"event": events.IDLE, "seconds": seconds}, b"")
            self.orders.dump(run_outcome.silence(self.plan, seconds))

    def _turn(self, seconds: Optional[float]) -> None:
        held = self.is_held()
        self._loop.turn(HELD_SECONDS if held else seconds, without_nodes=held)

    # -- channels that end ------------------------------------------------------------------------

    def heard(self, host: str, data: bytes) -> None:
        """Take bytes that arrived over a node's channel."""
        channel, run = self.channels.get(host), self._by_host[host]
        if channel is None:
            return
        try:
            for header, payload in self._decoders[host].feed(data):
                known = self._doors[host].take(header)
                if known is not None:
                    self._event(run, known, payload)
                if self.channels.get(host) is not channel:
                    return
        except wire.WireError as error:
            self._drop(host)
            self._invalid(run, error)

    def ended(self, host: str) -> None:
        """Record that a node's channel has ended."""
        if self.channels.pop(host, None) is not None:
            self._closed(self._by_host[host])

    def back(self, host: str, channel: Channel) -> None:
        """Follow a node again after it was silent."""
        self.suspects.back(host)
        self.armed(host, channel)

    def _drop(self, host: str) -> None:
        self.channels.pop(host).drop()

    def _closed(self, run: NodeRun) -> None:
        if run.exit is not None:
            return
        if not run.ready and not self._begun:
            found = problem("CHANNEL_FAILED", run.host, "its supervisor cannot be reached", "check the node")
            run.fail(time.time(), found)
        elif self.orders.has_gone and self.suspects.links:
            self.suspects.add(run, self.suspects.links)
        else:
            self._lost(run, "NODE_LOST", "the connection to it was lost", time.time())

    def _invalid(self, run: NodeRun, error: wire.WireError) -> None:
        """Give up a node that sends what no supervisor sends: another channel to it would not be better."""
        if run.exit is None:
            message, remedy = "it sent something that is not from a supervisor: %s" % error, "check what answers there"
            self._lost(run, "PROTOCOL_ERROR", message, time.time(), remedy)
            self.suspects.sweep(run)

    def _lost(self, run: NodeRun, code: str, message: str, at: float, remedy: str = "check that it is up") -> None:
        hint = self._ways[run.host].hint(run.host)
        run.fail(at, problem(code, run.host, message, "%s: %s" % (remedy, hint)))
        self.tell({"event": events.LOST, "host": run.host, "message": message}, b"")
        if run.ready:
            self.orders.stop(run.failure)

    # -- events -----------------------------------------------------------------------------------

    def _event(self, run: NodeRun, header: Header, payload: bytes) -> None:
        kind, now = header["event"], time.time()
        at = run.date(header["time"], now) if "time" in header else now
        if kind in self._for_us:
            self._for_us[kind](run, header)
            return
        if kind == events.LOG:
            self._spoke_at, payload = self._loop.time(), run.fresh(header, payload)
            header = {**header, "time": at} if "time" in header else header
        elif kind == events.SKIPPED:
            run.offsets[header["log"]] = run.offsets.get(header["log"], 0) + header["size"]
        elif kind == events.STARTED:
            run.started_at, run.began, self.orders.has_gone = self._loop.time(), at, True
        elif kind == events.EXIT:
            run.ended = at
        elif kind == events.RANK_EXIT and header.get("stopping") and (header["exit_code"] or header["signal"]):
            return  # It ended because it was told to.
        failure, lag = self._failure(run, header, at)
        if failure:
            run.fail(at + lag, failure)
        if payload or kind != events.LOG and self._doors[run.host].lets_out(kind):
            self.tell(dict(header, host=run.host), payload)
        if failure:
            self.orders.stop(failure)

    def _failure(self, run: NodeRun, header: Header, at: float) -> Tuple[Optional[Problem], float]:
        if header["event"] == events.EXIT:
            return self._exit(run, header), 0.0
        if header["event"] == events.RUNNER_EXIT and self.orders.interrupted:
            return None, 0.0
        return run_outcome.failure(run, self.runs, self.plan, header, at)

    def _ready(self, run: NodeRun, header: Header) -> None:
        if run.boot_id not in (None, header["boot_id"]):
            self._drop(run.host)
            self._lost(run, "NODE_REBOOTED", "it rebooted during the run", time.time())
            self.suspects.sweep(run)
            return
        run.boot_id = header["boot_id"]
        if not run.ready:
            run.ready = True
            self.tell(dict(header, host=run.host), b"")

    def _run_unknown(self, run: NodeRun, header: Header) -> None:
        self._drop(run.host)
        run.fail(time.time(), problem("RUN_UNKNOWN", run.host, header["message"], "gc may have removed it"))

    def _daemon_wanted(self, _: NodeRun, header: Header) -> None:
        # A follower that attaches later must not repeat requests that were delivered before.
        if not self._begun:
            self._daemons.bring(header)

    def _late(self, run: NodeRun, header: Header) -> None:
        self._daemons.late(run, header)
        self.orders.stop(run.failure)

    def _stopping_there(self, _: NodeRun, header: Header) -> None:
        """Record why a node stops that was not told to by this follower."""
        if header.get("reason") == run_directory.Reason.TIMED_OUT and self.orders.interrupted is None:
            self.orders.stop_for(problem("TIMED_OUT", None, "the job did not end in time", "raise --timeout"))

    def _exit(self, run: NodeRun, header: Header) -> Optional[Problem]:
        run.exit, orders = header, self.orders
        self._daemons.ended(run, header)
        found = run_outcome.exit_failure(run, self.plan, header, orders.stopping)
        if header["outcome"] == run_directory.LOST:
            self.suspects.sweep(run)
        is_ordered = header.get("stopped") and header.get("reason") == run_directory.Reason.STOPPED
        if is_ordered and not found and not orders.stopping and orders.interrupted is None:
            before = " before it started" if header["outcome"] == run_directory.DISARMED else ""
            orders.interrupted = problem("RUN_STOPPED", None, "the run was stopped" + before)
        return found

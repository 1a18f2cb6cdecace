# SPDX-License-Identifier: Apache-2.0
"""
Say go on every channel at once and follow all of them to the end. Private to the collection.

Knows channels and frames, nothing of Ansible. A channel leads to one node's supervisor, or to a reader of its files.
When one ends too early, the node is suspected, not lost: ``Links`` looks for another way to it, and asks the other
nodes whether it is alive.
"""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, List, Mapping, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common import events, run_directory, wire
from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem, problem
from ansible_collections.madctl.multinode.plugins.module_utils._common.event_loop import Loop
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import Plan
from ansible_collections.madctl.multinode.plugins.module_utils._follow import mpi_daemons, node_channels, run_outcome
from ansible_collections.madctl.multinode.plugins.module_utils._follow.door import Door
from ansible_collections.madctl.multinode.plugins.module_utils._follow.run_outcome import NodeRun

Listener = Callable[[Dict[str, Any], bytes], None]

# With the time after which a way gives a silent node up, the sum stays below a minute.
ASK_SECONDS = 20.0
LOST_SECONDS = 40.0
HELD_SECONDS = 0.05


class Follower:
    """Follow one run; ``tell`` gets every event with its ``host``, in order of arrival."""

    def __init__(
        self,
        plan: Plan,
        tell: Listener,
        loop: Loop,
        ways: Mapping[str, node_channels.Way],
        read_only: bool = False,
        begun: bool = False,
        to_end: bool = True,
    ) -> None:
        """
        Prepare to follow.

        Args:
            ways: What is known of the way to each node.
            read_only: Whether neither a failure nor an interrupt may stop the run.
            begun: Whether the run was started before, by somebody else.
            to_end: Whether the run is followed to its end, and not only read as far as it is.
        """
        self.plan, self.tell, self._loop, self._ways = plan, tell, loop, ways
        self._begun, self._read_only = begun, read_only
        self.links: Optional[node_channels.Links] = None
        self.channels: Dict[str, node_channels.Channel] = {}
        self.runs = [
            NodeRun(node["host"], node["node_rank"], node.get("clock_offset") or 0.0, own=own)
            for node, own in zip(plan["nodes"], run_outcome.shares(plan))
        ]
        self.interrupted: Optional[Problem] = None
        self.refused: List[Problem] = []
        self.detached = self.is_over = False
        self._daemons = mpi_daemons.Daemons(plan, self.runs, self._order_host)
        self._by_host = {run.host: run for run in self.runs}
        self._awaited = set(self._by_host)
        self._doors = {run.host: Door(run, plan, to_end) for run in self.runs}
        self._decoders: Dict[str, wire.Decoder] = {}
        # Whether whoever looks takes no more for now; orders and time are watched all the same.
        self.is_held: Callable[[], bool] = lambda: False
        self._stopping = self._killing = False
        self._gone = begun
        self._spoke_at = time.monotonic()

    # -- before the start -------------------------------------------------------------------------

    def armed(self, host: str, channel: node_channels.Channel) -> None:
        """Follow a node from now on; one that comes too late is stopped like the others."""
        self._awaited.discard(host)
        self._by_host[host].suspected_at = None
        self.channels[host] = channel
        self._decoders[host] = wire.Decoder()
        if self._stopping:
            channel.give(wire.KILL if self._killing else wire.STOP)

    def not_armed(self, host: str, reason: str) -> None:
        """Take down that a node will not take part, so that none does."""
        self._awaited.discard(host)
        if not self.interrupted:
            found = problem("NODE_NOT_READY", host, reason, "nothing was started on any node")
            self._by_host[host].fail(time.time(), found)

    def unreached(self, host: str) -> None:
        """Take down that no channel to a node could be opened."""
        self._awaited.discard(host)
        self._closed(self._by_host[host])

    def given_up(self, host: str) -> None:
        """Take down that a node is not waited for any more, through no fault of its own."""
        self._awaited.discard(host)

    def halted(self, host: str) -> None:
        """Take down that the run was stopped before a node was armed, so that no node starts."""
        self._awaited.discard(host)
        if self.interrupted is None:
            self.interrupted = problem("RUN_STOPPED", None, "the run was stopped before it started")
        self.stop_all()

    def refuse(self, problems: List[Problem]) -> None:
        """Take down what the proof found, so that nothing starts."""
        for found in problems:
            run = self._by_host[found["host"]] if found["host"] else self.runs[0]
            run.fail(time.time(), found)
        self.refused = problems

    def wait_ready(self, seconds: float) -> bool:
        """Wait until every supervisor answers; failures are recorded with their node."""
        deadline = time.monotonic() + seconds
        while not all(run.ready or run.failure for run in self.runs) and time.monotonic() < deadline:
            self._turn(deadline - time.monotonic())
            if self.interrupted or self.detached:
                return False
        for run in self.runs:
            if not run.ready and not run.failure:
                self._awaited.discard(run.host)
                message = "its supervisor did not answer in %g s" % seconds
                run.fail(time.time(), problem("NODE_NOT_READY", run.host, message))
        return not any(run.failure for run in self.runs)

    def go(self) -> None:
        """Start all runners: one byte a node, back to back."""
        self._gone = True
        self._spoke_at = self._daemons.began = time.monotonic()
        for channel in self.channels.values():
            channel.give(wire.GO)

    def wait_started(self, seconds: float) -> None:
        """Wait until every runner was started, or one could not be."""
        deadline = time.monotonic() + seconds
        while not all(run.started_at or run.failure or run.exit for run in self.runs) and time.monotonic() < deadline:
            self._turn(deadline - time.monotonic())

    # -- until the end ----------------------------------------------------------------------------

    def follow(self, idle_timeout: Optional[float] = None) -> None:
        """Read events until every node's run is over, lost, or silent everywhere for ``idle_timeout`` seconds."""
        while not self.detached and (self._awaited or any(map(self._is_open, self.runs))):
            suspects = [run for run in self.runs if run.suspected_at is not None]
            self._turn(1.0 if suspects or idle_timeout else None)
            for run in suspects:
                self._judge_suspect(run)
            silent = time.monotonic() - self._spoke_at
            if idle_timeout and silent > idle_timeout and not suspects and not self._stopping and self._gone:
                self._give_up_idle(idle_timeout)
        self.is_over = True

    def _is_open(self, run: NodeRun) -> bool:
        waiting = run.exit is None and (run.host in self.channels or run.suspected_at is not None)
        return waiting or run.sweeping

    def detach(self) -> None:
        """Follow no more; the run goes on without us."""
        self.detached = True

    def interrupt(self, reason: Problem) -> None:
        """Stop all nodes gracefully; asked again, kill, and then let go. Whoever only reads just leaves."""
        if self._read_only or self._killing:
            self.detach()
        elif self.interrupted is None:
            self.interrupted = reason
            self.stop_all()
        else:
            self.kill_all()

    def kill_all(self) -> None:
        """End everything at once."""
        self._stopping = self._killing = True
        for channel in self.channels.values():
            channel.give(wire.KILL)

    def stop_all(self) -> None:
        """Ask every node to stop, once."""
        if not self._stopping and not self._read_only:
            self._stopping = True
            if self._gone:
                self.tell({"event": events.STOPPING}, b"")
            for channel in self.channels.values():
                channel.give(wire.STOP)

    def _give_up_idle(self, seconds: float) -> None:
        """Have every rank's stack written, then the run stopped: the supervisors do both."""
        message = "no rank printed anything for %g s" % seconds
        self.interrupted = problem("TIMED_OUT", None, message, "look where the ranks wait: logs/rank-*.stack")
        self._stopping = True
        self.tell({"event": events.IDLE, "seconds": seconds}, b"")
        for channel in self.channels.values():
            channel.give(wire.DUMP)

    def _order_host(self, host: str, order: bytes) -> None:
        if host in self.channels and not self._read_only:
            self.channels[host].give(order)

    def _turn(self, seconds: Optional[float]) -> None:
        held = self.is_held()
        self._loop.turn(HELD_SECONDS if held else seconds, without_nodes=held)

    # -- nodes that fall silent -------------------------------------------------------------------

    def _closed(self, run: NodeRun) -> None:
        if run.exit is not None:
            return
        now = time.monotonic()
        if not run.ready and not self._begun:
            found = problem("CHANNEL_FAILED", run.host, "its supervisor cannot be reached", "check the node")
            run.fail(time.time(), found)
        elif self._gone and self.links:
            run.suspected_at, run.asked_at, run.alive = now, None, None
            self.tell({"event": events.SUSPECT, "host": run.host}, b"")
            self.links.look_for(run.host, {"offsets": dict(run.offsets), "seq": run.seq})
        else:
            self._lost(run, "NODE_LOST", "the connection to it was lost", time.time())

    def _judge_suspect(self, run: NodeRun) -> None:
        """Give a node up when it stays silent and nobody else can say that it is alive."""
        if run.suspected_at is None:
            return
        now = time.monotonic()
        others = [other for other in self.runs if other is not run]
        peers = [other.host for other in others if other.suspected_at is None and other.failure_code != "NODE_LOST"]
        if now - (run.asked_at or run.suspected_at) > ASK_SECONDS and peers and self.links:
            run.asked_at = now
            self.links.ask(run.host, peers)
        # Nobody answers any more: that is this machine's own link, and the run goes on.
        all_silent = bool(others) and not peers
        if now - run.suspected_at > LOST_SECONDS and not run.alive and not all_silent:
            about = "it has not answered for %d s" % (now - run.suspected_at)
            why = ", and node %s cannot reach it either" % peers[0] if run.alive is False else ""
            last_heard = time.time() - (now - run.suspected_at) - self._ways[run.host].silence_seconds
            run.suspected_at = None
            self._lost(run, "NODE_LOST", about + why, last_heard)

    def alive(self, host: str, answer: Optional[bool]) -> None:
        """Take down what another node says of one that is silent; None when that one did not answer either."""
        self._by_host[host].alive = answer

    def back(self, host: str, channel: node_channels.Channel) -> None:
        """Follow a node again that was silent."""
        self.tell({"event": events.BACK, "host": host}, b"")
        for run in self.runs:
            if run.suspected_at is not None:
                # Perhaps it was our own link; then the others get as long as this one had.
                run.suspected_at, run.asked_at, run.alive = time.monotonic(), None, None
        self.armed(host, channel)

    def _sweep(self, run: NodeRun) -> None:
        if self.links and not self._read_only:
            run.sweeping = True
            self.links.sweep(run.host)

    def swept(self, host: str, left: List[str]) -> None:
        """Take down what could not be ended where a supervisor was killed."""
        run = self._by_host[host]
        run.sweeping, run.left = False, left

    def _lost(self, run: NodeRun, code: str, message: str, at: float, remedy: str = "see whether it is up") -> None:
        hint = self._ways[run.host].hint(run.host)
        run.fail(at, problem(code, run.host, message, "%s: %s" % (remedy, hint)))
        self.tell({"event": events.LOST, "host": run.host, "message": message}, b"")
        if run.ready:
            self.stop_all()

    # -- frames -----------------------------------------------------------------------------------

    def heard(self, host: str, data: bytes) -> None:
        """Take what came over a node's channel."""
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
            self._odd(run, error)

    def ended(self, host: str) -> None:
        """Take down that a node's channel has ended."""
        if self.channels.pop(host, None) is not None:
            self._closed(self._by_host[host])

    def _odd(self, run: NodeRun, error: wire.WireError) -> None:
        """Give up a node that sends what no supervisor sends: no other channel to it would be any better."""
        if run.exit is None:
            message, remedy = "it sent what no supervisor sends: %s" % error, "look at what answers there"
            self._lost(run, "PROTOCOL_ERROR", message, time.time(), remedy)
            self._sweep(run)

    def _drop(self, host: str) -> None:
        self.channels.pop(host).drop()

    def _event(self, run: NodeRun, header: Dict[str, Any], payload: bytes) -> None:
        event = header["event"]
        if event == events.LOG:
            self._spoke_at, payload = time.monotonic(), run.fresh(header, payload)
        elif event == events.SKIPPED:
            run.offsets[header["log"]] = run.offsets.get(header["log"], 0) + header["size"]
        elif event == events.READY:
            return self._ready(run, header)
        elif event == events.REFUSED:
            self._drop(run.host)
            run.fail(time.time(), problem("RUN_UNKNOWN", run.host, header["message"], "gc may have removed it"))
            return None
        elif event == events.END:
            return self._drop(run.host)  # Whoever only reads what is there wants no more.
        at = run.date(header["time"], time.time()) if "time" in header else time.time()
        failure: Optional[Problem] = None
        if event == events.STARTED:
            run.started_at = time.monotonic()
            self._gone = True
        elif event == events.STOPPING:
            self._stopping_there(header)
            return None
        elif event == events.DAEMON_WANTED:
            # Whoever came later does not bring what was brought when it was asked for.
            if not self._begun:
                self._daemons.bring(header)
            return None
        elif event == events.LATE:
            self._daemons.late(run, header)
            self.stop_all()
            return None
        elif event == events.RANK_EXIT and header.get("stopping") and (header["exit_code"] or header["signal"]):
            return None  # It ended because it was told to.
        elif event == events.EXIT:
            failure = self._exit(run, header)
        elif event != events.RUNNER_EXIT or not self.interrupted:
            failure, late = run_outcome.failure(run, self.runs, self.plan, header)
            at += late
        if failure:
            run.fail(at, failure)
        if payload or event != events.LOG and self._doors[run.host].lets_out(event):
            self.tell(dict(header, host=run.host), payload)
        if failure:
            self.stop_all()
        return None

    def _ready(self, run: NodeRun, header: Dict[str, Any]) -> None:
        if run.boot_id not in (None, header["boot_id"]):
            self._drop(run.host)
            self._lost(run, "NODE_REBOOTED", "it was started anew in the middle of the run", time.time())
            self._sweep(run)
            return
        run.boot_id = header["boot_id"]
        if not run.ready:
            run.ready = True
            self.tell(dict(header, host=run.host), b"")

    def _stopping_there(self, header: Dict[str, Any]) -> None:
        """A node stops; when nobody here asked for it, learn why."""
        if header.get("reason") == run_directory.Reason.TIMED_OUT and self.interrupted is None:
            self.interrupted = problem("TIMED_OUT", None, "the job did not end in time", "raise --timeout")
            self.stop_all()

    def _exit(self, run: NodeRun, header: Dict[str, Any]) -> Optional[Problem]:
        run.exit = header
        self._daemons.ended(run, header)
        if header["outcome"] == run_directory.LOST:
            self._sweep(run)
            return problem("SUPERVISOR_LOST", run.host, "its supervisor was killed", run_outcome.KILLED)
        if header.get("trouble"):
            about = "its supervisor broke, and ended the job: %s" % str(header["trouble"])[:200]
            return problem("SUPERVISOR_LOST", run.host, about, "see supervisor.log in the run directory")
        if header.get("stopped"):
            if header.get("reason") == run_directory.Reason.STOPPED and not self._stopping and self.interrupted is None:
                before = " before it started" if header["outcome"] == run_directory.DISARMED else ""
                self.interrupted = problem("RUN_STOPPED", None, "the run was stopped" + before)
            return None
        if header["outcome"] == run_directory.DISARMED and not self._stopping:
            message = "it disarmed: its connection ended before it was told to start"
            return problem("NODE_NOT_READY", run.host, message, "see whether it is up, then launch again")
        bad = header["outcome"] != run_directory.EXITED or header["exit_code"] != 0 or bool(header["signal"])
        if bad and not self._stopping and run.failure is None:
            return run_outcome.runner_failure(run, self.plan, header)
        return None

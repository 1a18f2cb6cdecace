# SPDX-License-Identifier: Apache-2.0
"""
Own one run on one node: wait for go, start the runner, keep its output, leave nothing behind.

Started as ``madctl_node.py supervisor RUN_DIR`` in a container of its own: a systemd service, or a
session. It never depends on a connection after go: output goes to files first, and a follower gets it
from there. Under mpirun, the first node's runner is mpirun, and every other node's is the daemon that
mpirun asks for. Private to the collection.

    armed ──go──► running ──runner ends──► sweeping ──nothing left──► done
      │              └──stop──► stopping ──────┘
      └──stop, follower lost, deadline──► done
"""

from __future__ import annotations

import os
import selectors
import signal
import sys
import time
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence, Set, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import events, run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._common.run_directory import Reason
from ansible_collections.madctl.multinode.plugins.module_utils._common.wire import DUMP, END, GO, KILL, SIGNALS, STOP
from ansible_collections.madctl.multinode.plugins.module_utils._node import processes, stop_mark
from ansible_collections.madctl.multinode.plugins.module_utils._node.failure_flag import LOOK_SECONDS, Beacon
from ansible_collections.madctl.multinode.plugins.module_utils._supervise import final_sweep, node_claim
from ansible_collections.madctl.multinode.plugins.module_utils._supervise.control_channel import Feed
from ansible_collections.madctl.multinode.plugins.module_utils._supervise.rank_reports import Ranks
from ansible_collections.madctl.multinode.plugins.module_utils._supervise.runner_processes import Runners, how
from ansible_collections.madctl.multinode.plugins.module_utils._supervise.separate_worlds import Worlds

if TYPE_CHECKING:
    from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import MpiSpec, Spec

SWEEP_TERM_SECONDS = 3.0
# Processes outside our tree report nothing when they die, so a sweep looks again.
SWEEP_INTERVAL_SECONDS = 0.1
FLUSH_SECONDS = 30.0
DUMP_SECONDS = 10.0
# MPI's daemons end by themselves when mpirun does; this is how much later than it.
DAEMON_SECONDS = 5.0
CLEAN_SECONDS = 75.0
BREAKS, BREAK_SECONDS, PAUSE_SECONDS = (
    20,
    12.0,
    0.05,
)  # so many errors of our own within that time, and the loop is not trusted any more


class Supervisor:
    """The state machine of one run on one node."""

    def __init__(self, spec: Spec, lock: Optional[int], files: Tuple[int, int]) -> None:
        self.spec = spec
        self.lock = lock
        self.state = "armed"
        self.reason: Optional[str] = None
        self.dumps: Set[int] = set()
        self.trouble: Optional[str] = None
        self._breaks: List[float] = []
        self.oom_kills = 0
        self.deadline: Optional[float] = time.monotonic() + spec["start_timeout"]
        self.timeout: Optional[float] = None
        self.look_at: Optional[float] = None
        self.selector = selectors.DefaultSelector()
        storage, helper = spec["beacon"], processes.HELPER
        self.beacon = Beacon(storage, spec["run_id"], spec["node_rank"], helper) if storage else None
        about: Dict[str, Any] = {"boot_id": spec["boot_id"], "container": node_claim.container(spec["run_id"])}
        about["pid"] = os.getpid()
        hello = dict(about, event=events.READY, run_id=spec["run_id"])
        self.feed = Feed(self.selector, hello, spec["log_cap"], self.obey, self.follower_dropped)
        self.runners = Runners(spec, lock, self.feed, files)
        self.sweep = final_sweep.Sweep(spec["run_id"], self.runners, self.beacon)
        self.ranks = Ranks(self.selector, self.feed, lambda: self.reason is not None)
        self.ranks.on_failure = self._failed
        self.worlds = Worlds(self.feed.emit)
        self.relay: Any = self._open_relay(spec["mpi"]) if spec["mpi"] else None
        self.ranks.on_joined = lambda: self.worlds.joined(self.relay, len(self.ranks.joined))
        self._wake = node_claim.watch_signals(self.selector, SIGNALS.values(), self._signalled)
        node_claim.reserve_record()
        if self.beacon:
            self.beacon.begin()
        self.feed.emit(event=events.ARMED, time=time.time(), storage=storage, node_rank=spec["node_rank"], **about)

    def _open_relay(self, spec: MpiSpec) -> Any:
        from ansible_collections.madctl.multinode.plugins.module_utils._supervise.mpi_relay import Relay

        relay = Relay(spec, self.spec["run_id"])
        relay.emit, relay.is_followed = self.feed.emit, lambda: self.feed.follower is not None
        self.feed.hear = self._start_daemon
        if relay.leads:
            relay.serve(self.selector)
        return relay

    # -- the loop -------------------------------------------------------------------------------

    def _signalled(self, number: int) -> None:
        """Obey who has no channel; to be told to stop for the second time means to kill."""
        if number == signal.SIGTERM and self.state not in ("armed", "running"):
            number = signal.SIGUSR2
        self.obey(b"".join(order for order, known in SIGNALS.items() if known == number))

    def run(self) -> None:
        """Serve until the run is over and its follower knows."""
        while self.state != "done" or self.feed.is_behind:
            try:
                self._turn()
            except Exception as error:  # noqa: BLE001  whatever it is, the job must not outlive us
                self._broke(error)
        node_claim.remove(run_directory.CONTROL_SOCKET, run_directory.RANKS_SOCKET)

    def _turn(self) -> None:
        for key, _ in self.selector.select(self._patience()):
            try:
                key.data(key.fileobj)
            except Exception:
                self._mute(key)
                raise
        self._reap()
        self._watch_clock()
        self.feed.send()

    def _mute(self, key: selectors.SelectorKey) -> None:
        """Hear no more from what broke us, or it would again, for ever; signals and orders are heard on."""
        if key.fileobj not in (self._wake, self.feed.follower) and key.fd in self.selector.get_map():
            self.selector.unregister(key.fileobj)
            self.feed.pipes.discard(key.fd)

    def _broke(self, error: Exception) -> None:
        """End the job after an error of our own, and keep why."""
        # A lack of files on the whole machine passes; an error that comes again at once does not.
        now = time.monotonic()
        self._breaks = [at for at in self._breaks if now - at < BREAK_SECONDS] + [now]
        time.sleep(PAUSE_SECONDS * (len(self._breaks) - 1))
        self.trouble = self.trouble or "%s: %s" % (type(error).__name__, error)
        node_claim.explain(error)
        try:
            if len(self._breaks) > BREAKS:
                final_sweep.give_up(self)
            elif self.state == "armed":
                self._finish(run_directory.DISARMED)
            elif self.state == "running":
                self.reason = Reason.BROKEN
                self.kill()
            self.feed.send()
        except Exception as another:  # noqa: BLE001
            node_claim.explain(another)
            final_sweep.give_up(self)

    def _patience(self) -> Optional[float]:
        if self.state == "sweeping":
            return SWEEP_INTERVAL_SECONDS
        join_by = self.relay.join_by if self.relay else None
        known = (self.deadline, self.timeout, self.look_at, join_by, self.worlds.at)
        times = [at for at in known if at is not None]
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _watch_clock(self) -> None:
        now = time.monotonic()
        if self.timeout is not None and now >= self.timeout:
            self.timeout = None
            self.stop(Reason.TIMED_OUT)
        if self.relay and self.relay.join_by is not None and now >= self.relay.join_by:
            self._late()
        if self.look_at is not None and now >= self.look_at and self.beacon:
            self.look_at = now + LOOK_SECONDS
            self.beacon.look()
        self.worlds.look(now, self.ranks.joined)
        if self.deadline is not None and now >= self.deadline:
            self._deadline_passed()

    def _deadline_passed(self) -> None:
        if self.state == "armed":
            self._finish(run_directory.DISARMED)
        elif self.state == "running":
            self.stop(Reason.IDLE)  # The stacks were dumped, or cannot be.
        elif self.state == "stopping":
            self.kill()
        elif self.state == "sweeping" and self.sweep.signal == signal.SIGTERM:
            self.sweep.signal = signal.SIGKILL
            self.deadline = time.monotonic() + final_sweep.KILL_SECONDS
        elif self.state == "sweeping":
            self._finish(run_directory.EXITED)
        else:
            self.deadline = None
            self.feed.drop()

    # -- orders ---------------------------------------------------------------------------------

    def obey(self, orders: bytes) -> None:
        """Follow orders; to stop wins over to go, also when both come at once."""
        self._reap()  # What ended before it was told to has failed by itself.
        if KILL in orders:
            self.kill()
        elif STOP in orders:
            self.stop(Reason.STOPPED)
        elif DUMP in orders:
            self.dump()
        elif GO in orders and self.state == "armed":
            self.go()
        elif END in orders:
            self.end()

    def follower_dropped(self) -> None:
        """Disarm, since nobody else can say go; a run that goes on does not care."""
        if self.state == "armed":
            self._finish(run_directory.DISARMED)
        else:
            self.end()  # Nobody else can bring a request for a daemon.

    def _leave_armed(self) -> None:
        """Nobody reads the proof's files any more: their janitors, which may hang, may go to work."""
        processes.send(self.spec["proof_janitors"], signal.SIGTERM)

    def go(self) -> None:
        """Start the runner; the answer says whether it really was exec'd."""
        self._leave_armed()
        self.state, self.deadline = "running", None
        self.oom_kills = self.ranks.oom_kills = processes.oom_kills()
        now = time.monotonic()
        self.timeout = now + self.spec["timeout"] if self.spec["timeout"] else None
        self.look_at = now + LOOK_SECONDS if self.beacon else None
        if self.relay:
            self.relay.allow(now, begins=True)
        if not self.awaits_daemons:
            self._start(self.spec["argv"])

    @property
    def awaits_daemons(self) -> bool:
        """Whether this node's runner is what mpirun on another node asks for."""
        return self.relay is not None and not self.relay.leads

    def _start_daemon(self, message: Dict[str, Any]) -> None:
        """Start what this run's mpirun asked for, once, or as often as mpirun may be called."""
        command = self.relay.opened(message) if self.relay and self.state == "running" else None
        if command is not None and (self.relay.many or self.runners.status is None and not self.runners):
            self.relay.allow(time.monotonic(), begins=False)
            self._start(["/bin/sh", "-c", command])

    def _start(self, argv: Sequence[str]) -> None:
        if not self.runners.start(argv):
            self._finish(run_directory.START_FAILED)

    def dump(self) -> None:
        """Write every rank's stack to its error log where py-spy is at hand, then stop."""
        if self.state != "running":
            return
        self.dumps = self.ranks.dump(self.spec["py_spy"])
        self.deadline = time.monotonic() + (DUMP_SECONDS if self.dumps else 0.0)

    def stop(self, reason: str) -> None:
        """End the run gracefully: the runner first, so that it can end its ranks in order."""
        if self.state == "armed":
            self.reason = reason
            self._finish(run_directory.DISARMED)
        elif self.state == "running":
            self.state, self.reason = "stopping", self.reason or reason
            self.feed.emit(event=events.STOPPING, time=time.time(), reason=self.reason)
            self._are_ranks_missing()
            self.deadline = time.monotonic() + self.spec["grace"]
            if not self.awaits_daemons:
                if not self.runners.signal(signal.SIGTERM):
                    self._all_ended()  # Nobody here can end it; what can be ended is, and the record names the rest.
            elif not self.runners:
                self._all_ended()
            elif self.ranks.joined:
                self.deadline += DAEMON_SECONDS  # mpirun tells its daemons, and knows what to do first.
            else:
                self.kill()

    def kill(self) -> None:
        """End the run at once."""
        self.stop(Reason.STOPPED)
        if self.state in ("stopping", "sweeping"):
            self.runners.signal(signal.SIGKILL)
            self.sweep.signal = signal.SIGKILL
            self.state = "sweeping"
            self.deadline = time.monotonic() + final_sweep.KILL_SECONDS

    def end(self) -> None:
        """Wait for no more daemons: mpirun has ended, or nobody can bring its requests."""
        if self.awaits_daemons and self.state == "running":
            self.relay.many = False
            if not self.runners:
                self._all_ended()

    def _late(self) -> None:
        """End a run of MPI whose ranks did not come; the follower finds out whose fault it is."""
        self.relay.join_by = None
        if self.state == "running" and self._are_ranks_missing():
            joined = len(self.ranks.joined)
            self.feed.emit(event=events.LATE, time=time.time(), daemon=self.relay.held_up, joined=joined)
            self.stop(Reason.LATE)
            self.kill()

    def _are_ranks_missing(self) -> bool:
        """Under mpirun, find out whether ranks are missing here, and what keeps their daemon."""
        if not self.relay:
            return False
        pids = processes.descendants(os.getpid()) if self.runners else ()
        return bool(self.relay.look(len(self.ranks.joined), pids))

    # -- the runner and its ranks ---------------------------------------------------------------

    def _failed(self) -> None:
        """Tell the other nodes in case nobody else does."""
        if self.beacon and self.state == "running" and self.look_at is not None:
            self.look_at = None
            self.beacon.tell()

    def _reap(self) -> None:
        self._collect()
        if self.state != "sweeping" or not self.sweep.strike(self._collect) or self.feed.pipes or self.runners:
            return
        if self.runners.clean():  # What comes after everything else.
            self.deadline = time.monotonic() + CLEAN_SECONDS
        if not self.runners.is_cleaning:
            self._finish(run_directory.EXITED)

    def _collect(self) -> None:
        """Collect every child that ended: the runner, our own helpers, and orphans of the job."""
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                self.sweep.is_childless = True
                return
            self.sweep.is_childless = False
            if ended is None:
                return
            if ended.si_pid in self.runners:
                self._runner_ended(self.runners.ended(ended.si_pid))
                continue
            _, status = os.waitpid(ended.si_pid, 0)
            self.runners.cleaned(ended.si_pid, status)
            if self.beacon and self.beacon.ended(ended.si_pid, status):
                self.stop(Reason.PEER_FAILED)
            if self.dumps == {ended.si_pid}:
                self.stop(Reason.IDLE)
            self.dumps.discard(ended.si_pid)

    def _runner_ended(self, status: int) -> None:
        if self.state in ("running", "stopping"):
            if status:
                self._failed()
                # A daemon that is told to stop is not signalled yet: others may only be faster to tell that it died.
                if self.state == "running" or (self.awaits_daemons and status < 0):
                    # Its end is dated here; the exit record comes after the sweep.
                    self.feed.emit(event=events.RUNNER_EXIT, time=time.time(), **how(status))
            if not self.runners and not (self.awaits_daemons and self.relay.many and not status):
                self._all_ended()

    def _all_ended(self) -> None:
        self.state = "sweeping"
        self.deadline = time.monotonic() + SWEEP_TERM_SECONDS

    # -- the end --------------------------------------------------------------------------------

    def _finish(self, outcome: str) -> None:
        if self.state == "armed":
            self._leave_armed()
        left, unseen = self.sweep.left() if outcome == run_directory.EXITED else ([], [])
        record = final_sweep.record(self, outcome, left, unseen)
        node_claim.keep_record(record)
        if self.beacon:
            self.beacon.end()
        if self.lock is not None:
            # Before anybody hears of the end: the next launch may come at once.
            os.close(self.lock)
            self.lock = None
        if self.relay:
            self.relay.close()
        self.state = "done"
        self.look_at = self.timeout = self.worlds.at = None
        self.deadline = time.monotonic() + FLUSH_SECONDS
        self.feed.emit(last=True, **record)


def main() -> None:
    """Read the spec, take the node, report readiness, leave the terminal behind, supervise."""
    ready, spec = node_claim.enter(sys.argv[1])
    if stop_mark.is_halted(os.getcwd(), spec["origin"]):
        os.write(ready, b"the run was stopped\n")
        return
    try:
        lock = node_claim.take(spec["lock"], spec["run_id"]) if spec["lock"] else None
    except OSError as error:
        os.write(ready, b"%s\n" % str(error).encode())
        return
    node_claim.set_oom_score(node_claim.OOM_SCORE)
    node_claim.adopt_orphans()
    supervisor = Supervisor(spec, lock, node_claim.raise_files())
    os.write(ready, b"ready\n")
    os.close(ready)
    supervisor.run()

# SPDX-License-Identifier: Apache-2.0
"""
Own one run on one node: wait for go, start the runner, keep its output, leave nothing behind.

Started as ``madctl_node.py supervisor RUN_DIR`` in its own systemd service or session. After go it does not depend on
a connection: output goes to files first, and a follower gets it from there. Under mpirun, the first node's runner is
mpirun, and every other node's is the daemon that mpirun requests. Private to the collection.

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
from typing import TYPE_CHECKING, Any, Dict, Optional, Sequence, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import events, run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import reason
from ansible_collections.madctl.multinode.plugins.module_utils._common.run_directory import Reason
from ansible_collections.madctl.multinode.plugins.module_utils._common.wire import DUMP, END, GO, KILL, SIGNALS, STOP
from ansible_collections.madctl.multinode.plugins.module_utils._node import processes, stop_mark
from ansible_collections.madctl.multinode.plugins.module_utils._node.failure_flag import LOOK_SECONDS, Beacon
from ansible_collections.madctl.multinode.plugins.module_utils._supervise import (
    final_sweep,
    job_setup,
    node_claim,
    supervisor_loop,
)
from ansible_collections.madctl.multinode.plugins.module_utils._supervise.control_channel import Feed
from ansible_collections.madctl.multinode.plugins.module_utils._supervise.rank_reports import Ranks
from ansible_collections.madctl.multinode.plugins.module_utils._supervise.runner_processes import Runners, how
from ansible_collections.madctl.multinode.plugins.module_utils._supervise.separate_worlds import Worlds

if TYPE_CHECKING:
    from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import MpiSpec, Spec

SWEEP_TERM_SECONDS = 3.0
FLUSH_SECONDS, DUMP_SECONDS, CLEAN_SECONDS = 30.0, 10.0, 75.0
# MPI's daemons end by themselves, this much later than mpirun.
DAEMON_SECONDS = 5.0


class Supervisor:
    """The state machine of one run on one node."""

    def __init__(self, spec: Spec, lock: Optional[int], files: Tuple[int, int]) -> None:
        self.spec, self.lock = spec, lock
        self.state = "armed"
        self.reason: Optional[str] = None
        self.trouble: Optional[str] = None
        self.deadline: Optional[float] = time.monotonic() + spec["start_timeout"]
        self.timeout: Optional[float] = None
        self.look_at: Optional[float] = None
        self.selector = selectors.DefaultSelector()
        storage, run_id, boot_id = spec["beacon"], spec["run_id"], spec["boot_id"]
        self.beacon = Beacon(storage, run_id, spec["node_rank"], processes.HELPER) if storage else None
        kind = node_claim.container(run_id, spec["in_step"])
        about: Dict[str, Any] = {"boot_id": boot_id, "pid": os.getpid(), "container": kind}
        hello = dict(about, event=events.READY, run_id=run_id)
        self.feed = Feed(self.selector, hello, spec["log_cap"], self.obey, self.follower_dropped)
        self.runners = Runners(spec, lock, self.feed, files)
        self.sweep = final_sweep.Sweep(run_id, self.runners, self.beacon)
        self.ranks = Ranks(self.selector, self.feed, lambda: self.reason is not None)
        self.ranks.on_failure = self._failed
        self.worlds = Worlds(self.feed.emit)
        self.relay: Any = self._open_relay(spec["mpi"]) if spec["mpi"] else None
        self.ranks.on_joined = lambda: self.worlds.joined(self.relay, len(self.ranks.joined))
        self.wake = node_claim.watch_signals(self.selector, SIGNALS.values(), self._signalled)
        node_claim.reserve_record()
        if self.beacon:
            self.beacon.begin()
        self.feed.emit(event=events.ARMED, time=time.time(), storage=storage, node_rank=spec["node_rank"], **about)

    def _open_relay(self, spec: MpiSpec) -> Any:
        from ansible_collections.madctl.multinode.plugins.module_utils._supervise.mpi_relay import opened

        self.feed.hear = self._start_daemon
        return opened(self, spec)

    # -- what the loop calls --------------------------------------------------------------------

    def _signalled(self, number: int) -> None:
        """Obey a signal like an order."""
        is_over = self.state not in ("armed", "running")
        self.obey(node_claim.order_of(number, self.spec["in_step"], is_over))

    def deadline_passed(self) -> None:
        """Take the next step of a state that lasts no longer than this."""
        if self.state == "armed":
            self.finish(run_directory.DISARMED)
        elif self.state == "running":
            self.stop(Reason.IDLE)  # The stacks were dumped, or cannot be.
        elif self.state == "stopping":
            self.kill()
        elif self.state == "sweeping" and self.sweep.signal == signal.SIGTERM:
            self.sweep.signal = signal.SIGKILL
            self.deadline = time.monotonic() + final_sweep.KILL_SECONDS
        elif self.state == "sweeping":
            self.finish(run_directory.EXITED)
        else:
            self.deadline = None
            self.feed.drop()

    # -- orders ---------------------------------------------------------------------------------

    def obey(self, orders: bytes) -> None:
        """Obey orders; a stop wins over a start when both arrive at once."""
        self.reap()  # Anything that ended before this order has failed by itself.
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
        """Disarm, because no other follower can start the run; a running one continues."""
        if self.state == "armed":
            self.finish(run_directory.DISARMED)
        else:
            self.end(1)  # No other follower can deliver a request for a daemon.

    def _leave_armed(self) -> None:
        """Make the janitors, which may hang, remove the proof's files, which are no longer read."""
        processes.send(self.spec["proof_janitors"], signal.SIGTERM)

    def go(self) -> None:
        """Start the runner, or wait for mpirun to request its daemon."""
        self._leave_armed()
        self.state, self.deadline = "running", None
        now, self.ranks.oom_kills = time.monotonic(), processes.oom_kills()
        self.timeout = now + self.spec["timeout"] if self.spec["timeout"] else None
        self.look_at = now + LOOK_SECONDS if self.beacon else None
        if self.relay:
            self.relay.allow(now, begins=True)
        if not self.awaits_daemons:
            self._start(self.spec["argv"])

    @property
    def awaits_daemons(self) -> bool:
        """Whether this node's runner is what mpirun on another node requests."""
        return self.relay is not None and not self.relay.leads and not self.relay.hands

    def _start_daemon(self, message: Dict[str, Any]) -> None:
        """Start the daemon that this run's mpirun requests: once, unless mpirun may be called several times."""
        command = self.relay.opened(message) if self.relay and self.state == "running" else None
        if command is not None and self.relay.hands:
            self.relay.hand(command)
        elif command is not None and (self.relay.many or self.runners.status is None and not self.runners):
            self.relay.allow(time.monotonic(), begins=False)
            self._start(["/bin/sh", "-c", command])

    def _start(self, argv: Sequence[str]) -> None:
        if not self.runners.start(argv):
            self.finish(run_directory.START_FAILED)

    def dump(self) -> None:
        """Write every rank's stack to a log, if py-spy is installed, then stop."""
        if self.state != "running":
            return
        is_dumping = self.ranks.dump(self.spec["py_spy"])
        self.deadline = time.monotonic() + (DUMP_SECONDS if is_dumping else 0.0)

    def stop(self, reason: str) -> None:
        """End the run gracefully: the runner first, so that it can end its ranks."""
        if self.state == "armed":
            self.reason = reason
            self.finish(run_directory.DISARMED)
        elif self.state == "running":
            self.state, self.reason = "stopping", self.reason or reason
            self.feed.emit(event=events.STOPPING, time=time.time(), reason=self.reason)
            self._are_ranks_missing()
            self.deadline = time.monotonic() + self.spec["grace"]
            if not self.awaits_daemons:
                if not self.runners.signal(signal.SIGTERM):
                    self._all_ended()  # It may not be signalled; the record names what the sweep cannot end.
            elif not self.runners:
                self._all_ended()
            elif self.ranks.joined:
                self.deadline += DAEMON_SECONDS  # mpirun tells its daemons when to end.
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

    def end(self, status: int = 0) -> None:
        """Stop waiting for daemons, and give scripts a status: mpirun has ended, or its requests cannot arrive."""
        if self.relay and self.relay.hands and not self.relay.leads:
            self.relay.release(status)
        if self.awaits_daemons and self.state == "running":
            self.relay.many = False
            if not self.runners:
                self._all_ended()

    def late(self) -> None:
        """End an MPI run whose ranks did not join in time; the follower finds the cause."""
        self.relay.join_by = None
        if self.state == "running" and self._are_ranks_missing():
            joined = len(self.ranks.joined)
            self.feed.emit(event=events.LATE, time=time.time(), daemon=self.relay.held_up, joined=joined)
            self.stop(Reason.LATE)
            self.kill()

    def _are_ranks_missing(self) -> bool:
        """Return whether ranks of mpirun are missing on this node, and record what delays their daemon."""
        relay, count = self.relay, len(self.ranks.joined)
        return bool(relay and relay.look(count, relay.daemon_processes(bool(self.runners))))

    # -- the runner and its ranks ---------------------------------------------------------------

    def _failed(self) -> None:
        """Notify the other nodes over shared storage, in case there is no follower."""
        if self.beacon and self.state == "running" and self.look_at is not None:
            self.look_at = None
            self.beacon.tell()

    def reap(self) -> None:
        """Collect children, and finish when a sweep finds nothing."""
        self._collect()
        if self.state != "sweeping" or not self.sweep.strike(self._collect) or self.feed.pipes or self.runners:
            return
        if self.runners.clean():  # The program that runs last.
            self.deadline = time.monotonic() + CLEAN_SECONDS
        if not self.runners.is_cleaning:
            self.finish(run_directory.EXITED)

    def _collect(self) -> None:
        """Collect every child that ended: the runner, our own helpers, and orphans of the job."""
        for pid in self.sweep.ended():
            if pid in self.runners:
                self._runner_ended(self.runners.ended(pid))
                continue
            _, status = os.waitpid(pid, 0)
            self.runners.cleaned(pid, status)
            if self.beacon and self.beacon.ended(pid, status):
                self.stop(Reason.PEER_FAILED)
            if self.ranks.dumped(pid):
                self.stop(Reason.IDLE)

    def _runner_ended(self, status: int) -> None:
        if self.state in ("running", "stopping"):
            if status:
                self._failed()
                # A daemon that must stop is not signalled yet: its death may be the cause that another node reports.
                if self.state == "running" or (self.awaits_daemons and status < 0):
                    # This event has the time of the end; the exit record comes after the sweep.
                    self.feed.emit(event=events.RUNNER_EXIT, time=time.time(), **how(status))
            if not self.runners and not (self.awaits_daemons and self.relay.many and not status):
                self._all_ended()

    def _all_ended(self) -> None:
        self.state = "sweeping"
        self.deadline = time.monotonic() + SWEEP_TERM_SECONDS

    def finish(self, outcome: str) -> None:
        """Write the record and release everything: the run is over on this node."""
        if self.state == "armed":
            self._leave_armed()
        record = final_sweep.conclude(self, outcome)
        self.state = "done"
        self.look_at = self.timeout = self.worlds.at = None
        self.deadline = time.monotonic() + FLUSH_SECONDS
        self.feed.emit(last=True, **record)


def main() -> None:
    """Read the spec, detach from the terminal, take the node, report readiness, supervise."""
    ready, spec = node_claim.enter(sys.argv[1])
    try:
        if stop_mark.is_halted(os.getcwd(), spec["origin"]):
            raise OSError("the run was stopped")
        lock = node_claim.take(spec["lock"], spec["run_id"]) if spec["lock"] else None
        node_claim.adopt_orphans()
        keep_output = job_setup.run(spec)
    except OSError as error:
        os.write(ready, b"%s\n" % reason(error, is_named=True).encode())
        return
    node_claim.set_oom_score(node_claim.OOM_SCORE)
    supervisor = Supervisor(spec, lock, node_claim.raise_files())
    keep_output(supervisor.feed)
    os.write(ready, b"ready\n")
    os.close(ready)
    supervisor_loop.run(supervisor)

# SPDX-License-Identifier: Apache-2.0
"""
Own one run on one node: wait for go, start the runner, keep its output, leave nothing behind.

Started as ``python3 -I -S _supervisor.py RUN_DIR`` in a container of its own: a systemd service, or a
session. It never depends on a connection after go: output goes to files first, and a follower gets it
from there. Private to the collection.

    armed ──go──► running ──runner ends──► sweeping ──nothing left──► done
      │              └──stop──► stopping ──────┘
      └──stop, follower lost, deadline──► done
"""

from __future__ import annotations

import ctypes
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from typing import Any, Dict, List, Optional, Set

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

# Delivered beside this file.
import _claim  # type: ignore[import-not-found]  # noqa: E402
import _processes  # type: ignore[import-not-found]  # noqa: E402
from _beacon import LOOK_SECONDS, Beacon  # type: ignore[import-not-found]  # noqa: E402
from _feed import Feed, listen  # type: ignore[import-not-found]  # noqa: E402
from _wire import DUMP, GO, KILL, STOP  # type: ignore[import-not-found]  # noqa: E402

PR_SET_CHILD_SUBREAPER = 36
SWEEP_TERM_SECONDS = 3.0
SWEEP_KILL_SECONDS = 10.0
# Processes outside our tree report nothing when they die, so a sweep looks again.
SWEEP_INTERVAL_SECONDS = 0.1
FLUSH_SECONDS = 30.0
DUMP_SECONDS = 10.0
RANK_MESSAGE_BYTES = 1 << 20
OOM_SCORE = -500
# Orders of whoever has no channel; SIGTERM for the second time means the last of them.
_SIGNALLED: Dict[int, bytes] = {signal.SIGTERM: STOP, signal.SIGUSR1: DUMP, signal.SIGUSR2: KILL}


class Supervisor:
    """The state machine of one run on one node."""

    def __init__(self, spec: Dict[str, Any], lock: Optional[int]) -> None:
        self.spec = spec
        self.lock = lock
        self.state = "armed"
        self.reason: Optional[str] = None
        self.runner: Optional[subprocess.Popen[bytes]] = None
        self.status: Optional[int] = None
        self.joined: Dict[int, Dict[str, Any]] = {}
        self.rank_exits: List[Dict[str, Any]] = []
        self.unread: Dict[socket.socket, bytes] = {}
        self.dumps: Set[int] = set()
        self.oom_kills = 0
        self.deadline: Optional[float] = time.monotonic() + spec["start_timeout"]
        self.timeout: Optional[float] = None
        self.look_at: Optional[float] = None
        self.sweep_signal = signal.SIGTERM
        self.selector = selectors.DefaultSelector()
        storage, helper = spec["beacon"], _processes.HELPER
        self.beacon = Beacon(storage, spec["run_id"], spec["node_rank"], helper) if storage else None
        about = {"boot_id": spec["boot_id"], "container": _claim.container(spec["run_id"]), "pid": os.getpid()}
        hello = dict(about, event="ready", run_id=spec["run_id"])
        self.feed = Feed(self.selector, hello, spec["log_cap"], self.obey, self.follower_dropped)
        self.selector.register(listen("ranks.sock"), selectors.EVENT_READ, self._accept_rank)
        self._watch_signals()
        _claim.reserve_record()
        if self.beacon:
            self.beacon.begin()
        self.feed.emit(event="armed", time=time.time(), storage=storage, node_rank=spec["node_rank"], **about)

    # -- the loop -------------------------------------------------------------------------------

    def _watch_signals(self) -> None:
        wake, waker = os.pipe()
        for descriptor in (wake, waker):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(waker)
        for number in (signal.SIGCHLD, *_SIGNALLED):
            signal.signal(number, lambda *_: None)
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)

        def on_signal(_: Any) -> None:
            for number in os.read(wake, 4096):
                if number == signal.SIGTERM and self.state not in ("armed", "running"):
                    number = signal.SIGUSR2
                self.obey(_SIGNALLED.get(number, b""))

        self.selector.register(wake, selectors.EVENT_READ, on_signal)

    def run(self) -> None:
        """Serve until the run is over and its follower knows."""
        while self.state != "done" or self.feed.is_behind:
            for key, _ in self.selector.select(self._patience()):
                key.data(key.fileobj)
            self._reap()
            self._watch_clock()
            self.feed.send()
        os.unlink("control.sock")
        os.unlink("ranks.sock")

    def _patience(self) -> Optional[float]:
        if self.state == "sweeping":
            return SWEEP_INTERVAL_SECONDS
        times = [at for at in (self.deadline, self.timeout, self.look_at) if at is not None]
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _watch_clock(self) -> None:
        now = time.monotonic()
        if self.timeout is not None and now >= self.timeout:
            self.timeout = None
            self.stop("timed_out")
        if self.look_at is not None and now >= self.look_at and self.beacon:
            self.look_at = now + LOOK_SECONDS
            self.beacon.look()
        if self.deadline is not None and now >= self.deadline:
            self._deadline_passed()

    def _deadline_passed(self) -> None:
        if self.state == "armed":
            self._finish("disarmed")
        elif self.state == "running":
            self.stop("idle")  # The stacks were dumped, or cannot be.
        elif self.state == "stopping":
            self.kill()
        elif self.state == "sweeping" and self.sweep_signal == signal.SIGTERM:
            self.sweep_signal = signal.SIGKILL
            self.deadline = time.monotonic() + SWEEP_KILL_SECONDS
        elif self.state == "sweeping":
            self._finish("exited")
        else:
            self.deadline = None
            self.feed.drop()

    # -- orders ---------------------------------------------------------------------------------

    def obey(self, orders: bytes) -> None:
        """Follow orders; to stop wins over to go, also when both come at once."""
        if KILL in orders:
            self.kill()
        elif STOP in orders:
            self.stop("stopped")
        elif DUMP in orders:
            self.dump()
        elif GO in orders and self.state == "armed":
            self.go()

    def follower_dropped(self) -> None:
        """Disarm, since nobody else can say go; a run that goes on does not care."""
        if self.state == "armed":
            self._finish("disarmed")

    def _leave_armed(self) -> None:
        """Nobody reads the proof's files any more: their janitors, which may hang, may go to work."""
        _processes.send(self.spec["proof_janitors"], signal.SIGTERM)

    def go(self) -> None:
        """Start the runner; the answer says whether it really was exec'd."""
        self._leave_armed()
        self.deadline = None
        self.oom_kills = _processes.oom_kills()
        try:
            self.runner = subprocess.Popen(
                self.spec["argv"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=self.spec["cwd"],
                env=self.spec["env"],
                start_new_session=True,
                # Should this supervisor be killed, the node stays taken as long as the runner lives.
                pass_fds=[self.lock] if self.lock is not None else [],
                preexec_fn=lambda: _claim.give_up(self.spec["oom_score"], self.spec["umask"]),
            )
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            self.feed.emit(event="start_failed", message=str(error))
            self._finish("start_failed")
            return
        self.state = "running"
        now = time.monotonic()
        self.timeout = now + self.spec["timeout"] if self.spec["timeout"] else None
        self.look_at = now + LOOK_SECONDS if self.beacon else None
        self.feed.emit(event="started", pid=self.runner.pid, time=time.time())
        for name, pipe in (("runner.out", self.runner.stdout), ("runner.err", self.runner.stderr)):
            assert pipe is not None
            self.feed.collect(name, pipe.fileno())

    def dump(self) -> None:
        """Write every rank's stack to its error log where py-spy is at hand, then stop."""
        if self.state != "running":
            return
        self.deadline = time.monotonic()
        for rank, entry in self.joined.items():
            argv = [self.spec["py_spy"], "dump", "--pid", str(entry["pid"])]
            try:
                dump = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
            except (OSError, TypeError):
                self.feed.emit(event="no_dump")
                return
            assert dump.stdout is not None
            self.feed.collect("rank-%s.stack" % rank, dump.stdout.fileno())
            self.dumps.add(dump.pid)
            self.deadline = time.monotonic() + DUMP_SECONDS

    def stop(self, reason: str) -> None:
        """End the run gracefully: the runner first, so that it can end its ranks in order."""
        if self.state == "armed":
            self._finish("disarmed")
        elif self.state == "running":
            self.state, self.reason = "stopping", reason
            self.feed.emit(event="stopping", time=time.time(), reason=reason)
            self.deadline = time.monotonic() + self.spec["grace"]
            self._signal_runner(signal.SIGTERM)

    def kill(self) -> None:
        """End the run at once."""
        self.stop("stopped")
        if self.state in ("stopping", "sweeping"):
            self._signal_runner(signal.SIGKILL)
            self.sweep_signal = signal.SIGKILL
            self.state = "sweeping"
            self.deadline = time.monotonic() + SWEEP_KILL_SECONDS

    def _signal_runner(self, number: int) -> None:
        if self.runner is not None and self.status is None:
            os.killpg(self.runner.pid, number)

    # -- the runner and its ranks ---------------------------------------------------------------

    def _accept_rank(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        self.selector.register(connection, selectors.EVENT_READ, self._read_rank)

    def _read_rank(self, connection: socket.socket) -> None:
        try:
            data, ancillary, _, _ = connection.recvmsg(1 << 16, socket.CMSG_SPACE(8))
        except OSError:
            data, ancillary = b"", []
        descriptors = [int.from_bytes(raw[i : i + 4], sys.byteorder) for _, _, raw in ancillary for i in (0, 4)]
        *lines, rest = (self.unread.pop(connection, b"") + data).split(b"\n")
        if not data or len(rest) > RANK_MESSAGE_BYTES:
            self.selector.unregister(connection)
            connection.close()
            return
        self.unread[connection] = rest
        for line in lines:
            self._hear_rank(connection, json.loads(line), descriptors)

    def _hear_rank(self, connection: socket.socket, message: Dict[str, Any], descriptors: List[int]) -> None:
        if message["event"] == "rank_exit":
            rank = next((rank for rank, entry in self.joined.items() if entry["connection"] is connection), None)
            oom = message["signal"] == signal.SIGKILL and _processes.oom_kills() > self.oom_kills
            ended = dict(message, rank=rank, stopping=self.reason is not None, oom=oom)
            self.rank_exits.append(ended)
            self.feed.emit(**ended)
            if message["exit_code"] or message["signal"]:
                self._failed()
            return
        for stream, descriptor in zip(("out", "err"), descriptors):
            self.feed.collect("rank-%s.%s" % (message["rank"], stream), descriptor)
        self.joined[message["rank"]] = dict(message, connection=connection)
        self.feed.emit(**message)

    def _failed(self) -> None:
        """Tell the other nodes in case nobody else does."""
        if self.beacon and self.state == "running" and self.look_at is not None:
            self.look_at = None
            self.beacon.tell()

    def _reap(self) -> None:
        """Collect every child that ended: the runner, our own helpers, and orphans of the job."""
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                ended = None
            if ended is None:
                break
            if self.runner is not None and ended.si_pid == self.runner.pid:
                self._runner_ended()
                continue
            _, status = os.waitpid(ended.si_pid, 0)
            if self.beacon and self.beacon.ended(ended.si_pid, status):
                self.stop("peer_failed")
            if ended.si_pid in self.dumps:
                self.dumps.discard(ended.si_pid)
                if not self.dumps:
                    self.stop("idle")
        if self.state == "sweeping":
            self._sweep()

    def _runner_ended(self) -> None:
        assert self.runner is not None
        self.status = self.runner.wait()
        if self.state in ("running", "stopping"):
            if self.status:
                self._failed()
            self.state = "sweeping"
            self.deadline = time.monotonic() + SWEEP_TERM_SECONDS

    # -- the end --------------------------------------------------------------------------------

    def _sweep(self) -> None:
        marked, ours = self._leftovers()
        _processes.kill_marked(self.spec["run_id"], marked, self.sweep_signal)
        _processes.send(ours, self.sweep_signal)
        if not marked and not ours and not self.feed.pipes and self.status is not None:
            self._finish("exited")

    def _leftovers(self) -> Any:
        """Find what carries this run's id, and what descends from us without it."""
        _, marked = _processes.find(self.spec["run_id"])
        ours = _processes.descendants(os.getpid(), self.beacon.children if self.beacon else ())
        return marked, sorted(ours - set(marked))

    def _finish(self, outcome: str) -> None:
        if self.state == "armed":
            self._leave_armed()
        left: List[int] = sum(self._leftovers(), []) if outcome == "exited" else []
        status = self.status
        record = {
            "event": "exit",
            "outcome": outcome,
            "time": time.time(),
            "exit_code": status if status is not None and status >= 0 else None,
            "signal": -status if status is not None and status < 0 else None,
            "oom": status == -signal.SIGKILL and _processes.oom_kills() > self.oom_kills,
            "ranks_joined": len(self.joined),
            "rank_exits": self.rank_exits,
            "stopped": self.reason is not None,
            "reason": self.reason,
            "left_behind": [_processes.describe(pid) for pid in left],
            "bytes_lost": sum(log.lost for log in self.feed.logs.values()),
        }
        _claim.keep_record(record)
        if self.beacon:
            self.beacon.end()
        if self.lock is not None:
            # Before anybody hears of the end: the next launch may come at once.
            os.close(self.lock)
        self.state = "done"
        self.look_at = self.timeout = None
        self.deadline = time.monotonic() + FLUSH_SECONDS
        self.feed.emit(last=True, **record)


def main() -> None:
    """Read the spec, take the node, report readiness, leave the terminal behind, supervise."""
    os.chdir(sys.argv[1])
    os.umask(0o077)
    if os.getpid() != os.getsid(0):
        os.setsid()
    ready = os.open("ready", os.O_RDWR | os.O_CLOEXEC)  # Read-write never waits for the other side.
    null, errors = os.open(os.devnull, os.O_RDWR), os.open("supervisor.log", os.O_WRONLY | os.O_CREAT, 0o600)
    for descriptor, target in ((null, 0), (null, 1), (errors, 2)):
        os.dup2(descriptor, target)
    with open("spec.json", encoding="utf-8") as stream:
        spec = json.load(stream)
    os.unlink("spec.json")  # It holds the job's environment, which may hold secrets.
    try:
        lock = _claim.take(spec["lock"], spec["run_id"]) if spec["lock"] else None
    except OSError as error:
        os.write(ready, b"%s\n" % str(error).encode())
        return
    _claim.set_oom_score(OOM_SCORE)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    supervisor = Supervisor(spec, lock)
    os.write(ready, b"ready\n")
    os.close(ready)
    supervisor.run()


if __name__ == "__main__":
    main()

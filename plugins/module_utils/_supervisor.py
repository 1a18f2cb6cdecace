# SPDX-License-Identifier: Apache-2.0
"""
Own one run on one node: wait for go, start the runner, keep its output, leave nothing behind.

Started by the ``run_start`` action as ``python3 -I -S _supervisor.py RUN_DIR LOCK`` in a session of its
own. It never depends on a connection after go: output goes to append-only files first, and a
follower gets it from there. Private to the collection.

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
from typing import Any, Callable, Dict, List, Optional

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from _log import Log  # type: ignore[import-not-found]  # noqa: E402
from _wire import GO, KILL, STOP, encode  # type: ignore[import-not-found]  # noqa: E402  delivered beside this file

PR_SET_CHILD_SUBREAPER = 36
CHUNK = 1 << 16  # bytes at a time
SWEEP_TERM_SECONDS = 3.0
SWEEP_KILL_SECONDS = 10.0
# Processes outside our tree report nothing when they die, so a sweep looks again.
SWEEP_INTERVAL_SECONDS = 0.1
FLUSH_SECONDS = 30.0


class Supervisor:
    """The state machine of one run on one node."""

    def __init__(self, run_dir: str, lock: int, spec: Dict[str, Any]) -> None:
        self.run_dir = run_dir
        self.lock = lock
        self.stopped = False
        self.spec = spec
        self.state = "armed"
        self.runner: Optional[subprocess.Popen[bytes]] = None
        self.status: Optional[int] = None
        self.joined: Dict[int, Dict[str, Any]] = {}
        self.rank_exits: List[Dict[str, Any]] = []
        self.logs: Dict[str, Log] = {}
        self.follower: Optional[socket.socket] = None
        self.sent: Dict[str, int] = {}
        self.frames: List[bytes] = []
        self.outgoing = b""
        self.deadline: Optional[float] = time.monotonic() + spec["start_timeout"]
        self.sweep_signal = signal.SIGTERM
        self.events = os.open("events.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.selector = selectors.DefaultSelector()
        self.control = self._listen("control.sock", self._accept_follower)
        self.ranks = self._listen("ranks.sock", self._accept_rank)
        self._watch_signals()

    # -- wiring ---------------------------------------------------------------------------------

    def _listen(self, name: str, callback: Callable[[Any], None]) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # Relative, because an absolute run directory may not fit into a socket address.
        listener.bind(name)
        listener.listen(128)
        listener.setblocking(False)
        self.selector.register(listener, selectors.EVENT_READ, callback)
        return listener

    def _watch_signals(self) -> None:
        wake, waker = os.pipe()
        for descriptor in (wake, waker):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(waker)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: self.stop() if self.state in ("armed", "running") else self.kill())
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)
        self.selector.register(wake, selectors.EVENT_READ, lambda _: os.read(wake, 4096))

    def run(self) -> None:
        """Serve events until the run is over and its follower knows."""
        while self.state != "done" or (self.follower and self._unsent()):
            timeout = None if self.deadline is None else max(0.0, self.deadline - time.monotonic())
            if self.state == "sweeping":
                timeout = SWEEP_INTERVAL_SECONDS
            for key, _ in self.selector.select(timeout):
                key.data(key.fileobj)
            self._reap()
            if self.deadline is not None and time.monotonic() >= self.deadline:
                self._deadline_passed()
            self._send()
        os.unlink("control.sock")

    # -- the follower ---------------------------------------------------------------------------

    def _accept_follower(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        if self.follower:
            connection.close()
            return
        connection.setblocking(False)
        self.follower = connection
        self.frames.insert(0, encode({"event": "ready", "run_id": self.spec["run_id"], "pid": os.getpid()}))
        self.selector.register(connection, selectors.EVENT_READ, self._read_follower)

    def _read_follower(self, connection: socket.socket) -> None:
        try:
            orders = connection.recv(64)
        except BlockingIOError:
            return
        except OSError:
            orders = b""
        if not orders:
            self._drop_follower()
        elif KILL in orders:
            self.kill()
        elif STOP in orders:
            self.stop()
        elif GO in orders and self.state == "armed":
            self.go()

    def _drop_follower(self) -> None:
        if self.follower:
            self.selector.unregister(self.follower)
            self.follower.close()
        self.follower = None
        if self.state == "armed":
            # Nobody else can say go, so nothing is to come.
            self._finish("disarmed")

    def emit(self, **event: Any) -> None:
        """Tell the follower, in order, after the output that came before."""
        self.frames.append(encode(event))
        try:
            os.write(self.events, encode(event))
        except OSError:
            pass  # A full disk costs whoever follows later, never the job.

    def _unsent(self) -> bool:
        return bool(
            self.outgoing or self.frames or any(log.size > self.sent.get(log.name, 0) for log in self.logs.values())
        )

    def _send(self) -> None:
        if not self.follower:
            return
        try:
            while self._fill():
                self.outgoing = self.outgoing[self.follower.send(self.outgoing) :]
            events = selectors.EVENT_READ
        except BlockingIOError:
            events = selectors.EVENT_READ | selectors.EVENT_WRITE
        except OSError:
            self._drop_follower()
            return
        self.selector.modify(self.follower, events, self._read_follower)

    def _fill(self) -> bool:
        """Put the next piece on the way out: output first, so that an exit comes after its last words."""
        if self.outgoing:
            return True
        for log in self.logs.values():
            data = log.read(self.sent.get(log.name, 0))
            if data:
                self.sent[log.name] = self.sent.get(log.name, 0) + len(data)
                self.outgoing = encode({"event": "log", "log": log.name}, data)
                return True
        if self.frames:
            self.outgoing = self.frames.pop(0)
        return bool(self.outgoing)

    # -- the runner and its ranks ---------------------------------------------------------------

    def _leave_armed(self) -> None:
        """Nobody reads the proof's files any more: their janitors, which may hang, may go to work."""
        for pid in self.spec["proof_janitors"]:
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                pass

    def go(self) -> None:
        """Start the runner; the answer says whether it really was exec'd."""
        self._leave_armed()
        environment = dict(os.environ, **self.spec["env"])
        for name in self.spec["unset"]:
            environment.pop(name, None)
        self.deadline = None
        try:
            self.runner = subprocess.Popen(
                self.spec["argv"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=self.spec["cwd"],
                env=environment,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            self.emit(event="start_failed", message=str(error))
            self._finish("start_failed")
            return
        self.state = "running"
        self.emit(event="started", pid=self.runner.pid, time=time.time())
        for name, pipe in (("runner.out", self.runner.stdout), ("runner.err", self.runner.stderr)):
            assert pipe is not None
            self._collect(name, pipe.fileno())

    def _collect(self, name: str, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        if name not in self.logs:
            self.logs[name] = Log("logs", name)
        log = self.logs[name]

        def read(_: Any) -> None:
            try:
                data = os.read(descriptor, CHUNK)
            except BlockingIOError:
                return
            if data:
                log.append(data)
            else:
                self.selector.unregister(descriptor)
                os.close(descriptor)

        self.selector.register(descriptor, selectors.EVENT_READ, read)

    def _accept_rank(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        self.selector.register(connection, selectors.EVENT_READ, self._read_rank)

    def _read_rank(self, connection: socket.socket) -> None:
        known = next((rank for rank, entry in self.joined.items() if entry["connection"] is connection), None)
        data, ancillary, _, _ = connection.recvmsg(CHUNK, socket.CMSG_SPACE(8))
        descriptors = [int.from_bytes(raw[i : i + 4], sys.byteorder) for _, _, raw in ancillary for i in (0, 4)]
        if not data:
            self.selector.unregister(connection)
            connection.close()
            return
        for line in data.splitlines():
            message = json.loads(line)
            if message["event"] == "rank_exit":
                ended = dict(message, rank=known, stopping=self.stopped)
                self.rank_exits.append(ended)
                self.emit(**ended)
            else:
                rank = message["rank"]
                for stream, descriptor in zip(("out", "err"), descriptors):
                    self._collect("rank-%s.%s" % (rank, stream), descriptor)
                self.joined[rank] = dict(message, connection=connection)
                self.emit(**message)

    def _reap(self) -> None:
        if self.runner is not None and self.status is None:
            self.status = self.runner.poll()
            if self.status is not None and self.state in ("running", "stopping"):
                self._begin_sweep()
        while self.status is not None:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                pid = 0
            if pid == 0:
                break
        if self.state == "sweeping":
            self._sweep()

    # -- the end --------------------------------------------------------------------------------

    def stop(self) -> None:
        """End the run gracefully: the runner first, so that it can end its ranks in order."""
        if self.state == "armed":
            self._finish("disarmed")
        elif self.state == "running":
            self.state = "stopping"
            self.stopped = True
            self.emit(event="stopping", time=time.time())
            self.deadline = time.monotonic() + self.spec["grace"]
            self._signal_runner(signal.SIGTERM)

    def kill(self) -> None:
        """End the run at once."""
        self.stop()
        if self.state in ("stopping", "sweeping"):
            self._signal_runner(signal.SIGKILL)
            self.sweep_signal = signal.SIGKILL
            self.state = "sweeping"
            self.deadline = time.monotonic() + SWEEP_KILL_SECONDS

    def _signal_runner(self, number: int) -> None:
        if self.runner is not None and self.runner.poll() is None:
            os.killpg(self.runner.pid, number)

    def _begin_sweep(self) -> None:
        self.state = "sweeping"
        self.deadline = time.monotonic() + SWEEP_TERM_SECONDS

    def _sweep(self) -> None:
        left = self._leftovers()
        for pid in left:
            try:
                os.kill(pid, self.sweep_signal)
            except ProcessLookupError:
                pass
        if not left and self._drained():
            self._finish("exited")

    def _drained(self) -> bool:
        """Tell whether every pipe of the job has been read to its end."""
        return not any(
            isinstance(key.fileobj, int) and key.data.__name__ == "read" for key in self.selector.get_map().values()
        )

    def _leftovers(self) -> List[int]:
        """Find every process that carries this run's id, wherever it was reparented to."""
        mark = ("MADCTL_RUN_ID=" + self.spec["run_id"]).encode()
        found = []
        for entry in os.listdir("/proc"):
            if entry.isdigit() and int(entry) != os.getpid():
                try:
                    with open("/proc/%s/environ" % entry, "rb") as stream:
                        marked = mark in stream.read().split(b"\0")
                except OSError:
                    continue
                if marked:
                    found.append(int(entry))
        return found

    def _deadline_passed(self) -> None:
        if self.state == "armed":
            self._finish("disarmed")
        elif self.state == "stopping":
            self.kill()
        elif self.state == "sweeping" and self.sweep_signal == signal.SIGTERM:
            self.sweep_signal = signal.SIGKILL
            self.deadline = time.monotonic() + SWEEP_KILL_SECONDS
        elif self.state == "sweeping":
            self._finish("exited")
        else:
            self.deadline = None
            self._drop_follower()

    def _finish(self, outcome: str) -> None:
        if self.state == "armed":
            self._leave_armed()
        status = self.status
        record = {
            "event": "exit",
            "outcome": outcome,
            "exit_code": status if status is not None and status >= 0 else None,
            "signal": -status if status is not None and status < 0 else None,
            "ranks_joined": len(self.joined),
            "rank_exits": self.rank_exits,
            "stopped": self.stopped,
            "left_behind": self._leftovers() if outcome == "exited" else [],
            "bytes_lost": sum(log.lost for log in self.logs.values()),
        }
        with open("exit.json.partial", "w", encoding="utf-8") as stream:
            json.dump(record, stream)
        os.replace("exit.json.partial", "exit.json")
        if self.lock:
            # Before anybody hears of the end: the next launch may come at once.
            os.close(self.lock)
        self.state = "done"
        self.deadline = time.monotonic() + FLUSH_SECONDS
        self.emit(**record)


def main() -> None:
    """Read the spec, report readiness on stdout, leave the terminal behind, supervise."""
    run_dir, lock = sys.argv[1], int(sys.argv[2])
    os.setsid()
    if lock:
        os.set_inheritable(lock, False)
    os.chdir(run_dir)
    os.umask(0o077)
    with open("spec.json", encoding="utf-8") as stream:
        spec = json.load(stream)
    os.unlink("spec.json")  # It holds the job's environment, which may hold secrets.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    supervisor = Supervisor(run_dir, lock, spec)
    os.write(1, b"ready\n")
    null, errors = os.open(os.devnull, os.O_RDWR), os.open("supervisor.log", os.O_WRONLY | os.O_CREAT, 0o600)
    for descriptor, target in ((null, 0), (null, 1), (errors, 2)):
        os.dup2(descriptor, target)
    supervisor.run()


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""
Say go on every channel at once and follow all of them to the end. Private to the collection.

Knows sockets and frames, nothing of Ansible. A channel is a socket to one node's supervisor.
"""

from __future__ import annotations

import os
import selectors
import socket
import time
from typing import Any, Callable, Dict, List, Optional

from ansible_collections.madctl.multinode.plugins.module_utils import _outcome, _wire
from ansible_collections.madctl.multinode.plugins.module_utils._codes import Problem, problem

Listener = Callable[[Dict[str, Any], bytes], None]


class Follower:
    """Follow one run; ``tell`` gets every event with its ``host``, in order of arrival."""

    def __init__(self, plan: Dict[str, Any], tell: Listener, read_only: bool = False) -> None:
        self.plan = plan
        self._read_only = read_only
        self.channels: Dict[str, socket.socket] = {}
        self.tell = tell
        self.runs = [_outcome.NodeRun(node["host"], node["node_rank"]) for node in plan["nodes"]]
        self.interrupted: Optional[Problem] = None
        self.refused: List[Problem] = []
        self.detached = False
        self._by_host = {run.host: run for run in self.runs}
        self._awaited = set(self._by_host)
        self._decoders = {host: _wire.Decoder() for host in self._by_host}
        self._selector = selectors.DefaultSelector()
        self._stopping = self._gone = False
        self._deadline: Optional[float] = None

    def watch(self, descriptor: Any, callback: Callable[[], None]) -> None:
        """Call back when something else, such as a source of orders, can be read."""
        self._selector.register(descriptor, selectors.EVENT_READ, callback)

    def unwatch(self, descriptor: Any) -> None:
        """Forget a source of orders."""
        self._selector.unregister(descriptor)

    def armed(self, host: str, channel: socket.socket) -> None:
        """Follow a node from now on; one that comes too late is stopped like the others."""
        self._awaited.discard(host)
        channel.setblocking(True)
        self.channels[host] = channel
        self._selector.register(channel, selectors.EVENT_READ, host)
        if self._stopping:
            self._order(channel, _wire.STOP)

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
                run.fail(
                    time.monotonic(),
                    problem("NODE_NOT_READY", run.host, "its supervisor did not answer in %g s" % seconds),
                )
        return not any(run.failure for run in self.runs)

    def not_armed(self, host: str, reason: str) -> None:
        """Take down that a node will not take part, so that none does."""
        self._awaited.discard(host)
        if not self.interrupted:
            found = problem("NODE_NOT_READY", host, reason, "nothing was started on any node")
            self._by_host[host].fail(time.monotonic(), found)

    def refuse(self, problems: List[Problem]) -> None:
        """Take down what the proof found, so that nothing starts."""
        for found in problems:
            run = self._by_host[found["host"]] if found["host"] else self.runs[0]
            run.fail(time.monotonic(), found)
        self.refused = problems

    def go(self) -> None:
        """Start all runners: one byte a node, back to back."""
        self._gone = True
        for channel in self.channels.values():
            self._order(channel, _wire.GO)
        self.tell({"event": "go"}, b"")

    def wait_started(self, seconds: float) -> None:
        """Wait until every runner was started, or one could not be."""
        deadline = time.monotonic() + seconds
        while not all(run.started_at or run.failure or run.exit for run in self.runs) and time.monotonic() < deadline:
            self._turn(deadline - time.monotonic())

    def detach(self) -> None:
        """Follow no more; the run goes on without us."""
        self.detached = True

    def follow(self, timeout: Optional[float]) -> None:
        """Read events until every node's run is over."""
        self._deadline = None if timeout is None else time.monotonic() + timeout
        while not self.detached and (
            self._awaited or any(run.exit is None and run.host in self.channels for run in self.runs)
        ):
            left = None if self._deadline is None else self._deadline - time.monotonic()
            if left is not None and left <= 0:
                self.interrupt(
                    problem("TIMED_OUT", None, "the job did not end in %g s" % (timeout or 0), "raise --timeout")
                )
                self._deadline = left = None
            self._turn(left)

    def interrupt(self, reason: Problem) -> None:
        """Stop all nodes gracefully; asked for a second time, kill. Whoever only reads just leaves."""
        if self._read_only:
            self.detach()
        elif self.interrupted is None:
            self.interrupted = reason
            self.stop_all()
        else:
            self.kill_all()

    def kill_all(self) -> None:
        """End everything at once."""
        for channel in self.channels.values():
            self._order(channel, _wire.KILL)

    def stop_all(self) -> None:
        """Ask every node to stop, once."""
        if not self._stopping and not self._read_only:
            self._stopping = True
            if self._gone:
                self.tell({"event": "stopping"}, b"")
            for channel in self.channels.values():
                self._order(channel, _wire.STOP)

    @staticmethod
    def _order(channel: socket.socket, order: bytes) -> None:
        try:
            channel.send(order)
        except OSError:
            pass  # Reading it next says that the node is lost.

    def _turn(self, seconds: Optional[float]) -> None:
        for key, _ in self._selector.select(None if seconds is None else max(0.0, seconds)):
            if callable(key.data):
                key.data()
            else:
                self._read(key.data)

    def _read(self, host: str) -> None:
        channel = self.channels.get(host)
        if channel is None:
            return
        try:
            data = channel.recv(1 << 18)
            frames = list(self._decoders[host].feed(data))
        except (OSError, _wire.WireError):
            data, frames = b"", []
        for header, payload in frames:
            self._event(self._by_host[host], header, payload)
        if not data:
            self._selector.unregister(channel)
            channel.close()
            del self.channels[host]
            self._closed(self._by_host[host])

    def _closed(self, run: _outcome.NodeRun) -> None:
        if run.exit is None:
            code, what = (
                ("NODE_LOST", "the connection to it was lost")
                if run.ready
                else ("CHANNEL_FAILED", "its supervisor cannot be reached")
            )
            run.fail(time.monotonic(), problem(code, run.host, what, "check the node"))
            self.tell({"event": "lost", "host": run.host}, b"")
            if run.ready:
                self.stop_all()

    def _event(self, run: _outcome.NodeRun, header: Dict[str, Any], payload: bytes) -> None:
        now, event = time.monotonic(), header["event"]
        failure: Optional[Problem] = None
        if event == "ready":
            run.ready = True
        elif event == "started":
            run.started_at = now
            self._gone = True
        elif event == "stopping":
            return  # We told them, or whoever did will be seen in how it ends.
        elif event == "joined":
            run.joined += 1
        elif event == "start_failed":
            message = "the runner could not be started: " + header["message"]
            failure = problem("START_FAILED", run.host, message, "install it there, or give its path")
        elif event == "exec_failed":
            message = "%s could not be started: %s" % (header["argv0"], os.strerror(header["errno"]))
            failure = problem("START_FAILED", run.host, message, "install it there, or give its path")
        elif event == "rank_exit" and (header["exit_code"] or header["signal"]) and not self._stopping:
            if header.get("stopping"):
                return  # It ended because it was told to.
            failure = _outcome.rank_failure(run.host, header)
        elif event == "exit":
            run.exit = header
            if header.get("stopped") and not self._stopping and self.interrupted is None:
                self.interrupted = problem("RUN_STOPPED", None, "the run was stopped")
            bad = not header.get("stopped") and (header["outcome"] != "exited" or header["exit_code"] != 0)
            if bad and not self._stopping and run.failure is None:
                failure = _outcome.runner_failure(run.host, self.plan["shape"], header)
        if failure:
            run.fail(now, failure)
        self.tell(dict(header, host=run.host), payload)
        if failure:
            self.stop_all()

# SPDX-License-Identifier: GPL-3.0-or-later
"""
Come back to nodes whose connection ended in the middle of a run, and learn from others how they are.

Every attempt is a new connection in a thread; what it leads to is passed to the follower's loop
through a pipe.
"""

from __future__ import annotations

import functools
import os
import queue
import socket
import subprocess
import threading
from collections.abc import Callable
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common import events, wire
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import Plan
from ansible_collections.madctl.multinode.plugins.module_utils._follow import node_channels
from ansible_collections.madctl.multinode.plugins.module_utils._follow.follower import Follower
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes import program_output, remote_program
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes.way import Way, Ways

_TAIL, _RUNS = remote_program.parts("_runs.log_tail"), remote_program.parts("_runs.run_state")
# Between attempts, in seconds; the last one again and again.
_PAUSES = (0.5, 1, 2, 4, 8)
_ATTEMPT_SECONDS = 12.0
_ASK_SECONDS = 15.0
_SWEEP_SECONDS = 30.0
_MESSAGE = 4096  # Characters.


class Links(node_channels.Links):
    """Links over the ways of one play; a context that ends all attempts."""

    def __init__(self, plan: Plan, ways: Ways, follower: Follower) -> None:
        self._plan, self._ways, self._follower = plan, ways, follower
        self._nodes = {node["host"]: node for node in plan["nodes"]}
        self._found: queue.Queue[Callable[[], None]] = queue.Queue()
        self._news, self._post = os.pipe()
        self._over = threading.Event()
        follower.links = self
        follower.watch(self._news, self._pass_on)

    def __enter__(self) -> Links:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def _pass_on(self) -> None:
        os.read(self._news, 1)
        self._found.get()()

    def _tell(self, news: Callable[[], None]) -> None:
        self._found.put(news)
        os.write(self._post, b".")

    def request(self, host: str, position: dict[str, Any], follow: bool = True) -> dict[str, Any]:
        """Describe what a reader on a node is to send."""
        found = {"run_id": self._plan["run_id"], "run_dir": self._nodes[host].get("run_dir"), "follow": follow}
        return {**found, **position}

    def look_for(self, host: str, position: dict[str, Any]) -> None:
        """Try again and again, ever more slowly, until there is a channel or nobody follows any more."""
        threading.Thread(target=self._look_for, args=(host, position), daemon=True).start()

    def _look_for(self, host: str, position: dict[str, Any]) -> None:
        attempt = 0
        while not self._over.wait(_PAUSES[min(attempt, len(_PAUSES) - 1)]):
            attempt += 1
            channel = open_tail(self._ways[host], self.request(host, position), _ATTEMPT_SECONDS)
            if channel is not None:
                self._tell(functools.partial(self._follower.back, host, channel))
                return

    def ask(self, host: str, peers: list[str]) -> None:
        """Ask the first peer that answers whether it reaches a node on the network of the job."""
        node = self._nodes[host]
        if node.get("address"):
            request = {"address": node["address"], "ports": [22, self._plan["master_port"]]}
            threading.Thread(target=self._ask, args=(host, peers[:3], request), daemon=True).start()

    def _ask(self, host: str, peers: list[str], request: dict[str, Any]) -> None:
        answer = None
        for peer in peers:
            answer = self._call(peer, "is_alive", request, _ASK_SECONDS).get("alive")
            if answer is not None:
                break
        self._tell(lambda: self._follower.alive(host, answer))

    def sweep(self, host: str) -> None:
        """End what is left of the run on a node, in the background."""
        threading.Thread(target=self._sweep, args=(host,), daemon=True).start()

    def _sweep(self, host: str) -> None:
        answer = self._call(host, "stop_now", self.request(host, {}), _SWEEP_SECONDS)
        left = answer.get("left", ["nobody could look: %s" % answer.get("msg")])
        self._tell(lambda: self._follower.swept(host, left))

    def _call(self, host: str, function: str, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        way = self._ways[host]
        program = remote_program.Program(function, _RUNS, request)
        process = way.start(program.command(way.python))
        watch = threading.Timer(seconds, process.kill)
        watch.daemon = True
        watch.start()
        try:
            hearing = program_output.Hearing(process, program_output.BEFORE_BYTES)
            remote_program.give(process, program)
            return hearing.answer(program)
        except program_output.Refused as refused:
            return {"failed": True, "msg": str(refused)}
        finally:
            watch.cancel()
            process.kill()
            process.wait()


def open_tail(way: Way, request: dict[str, Any], seconds: float | None = None) -> socket.socket | None:
    """
    Start the reader on a node and give a channel of its frames, whatever a login script printed before.

    Args:
        seconds: Give up and return None when it does not speak in this time; None does not wait for it.
    """
    program = remote_program.Program("tail", _TAIL, request, speaks=True)
    process = way.start(program.command(way.python))
    ours, theirs = socket.socketpair()
    spoken, failed = threading.Event(), threading.Event()
    threading.Thread(target=_send, args=(process, program, theirs, spoken, failed), daemon=True).start()
    threading.Thread(target=_order, args=(process, theirs), daemon=True).start()
    if seconds is not None and not (spoken.wait(seconds) and not failed.is_set()):
        process.kill()
        ours.close()
        return None
    return ours


def _send(
    process: subprocess.Popen[bytes],
    program: remote_program.Program,
    channel: socket.socket,
    spoken: threading.Event,
    failed: threading.Event,
) -> None:
    try:
        hearing = program_output.Hearing(process, program_output.BEFORE_BYTES)
        remote_program.give(process, program, is_all=False)
        if hearing.news(program) is None:
            answer = hearing.answer(program)
            if "rc" in answer:
                failed.set()  # It did not even start.
            else:
                channel.sendall(wire.encode({"event": events.REFUSED, "message": str(answer.get("msg"))[:_MESSAGE]}))
        spoken.set()
        while data := hearing.read():
            channel.sendall(data)
    except (program_output.Refused, OSError):
        failed.set()  # Nobody follows any more, nobody is there, or somebody who says anything but what was asked.
    finally:
        spoken.set()
        # Closing alone would not reach the other end while a thread still waits for orders.
        channel.shutdown(socket.SHUT_RDWR)
        process.kill()
        process.wait()


def _order(process: subprocess.Popen[bytes], channel: socket.socket) -> None:
    assert process.stdin is not None
    try:
        while order := channel.recv(64):
            process.stdin.write(order)
            process.stdin.flush()
    except (OSError, ValueError):
        pass  # The reader has ended.

# SPDX-License-Identifier: GPL-3.0-or-later
"""What every action that follows a run does: tell events, obey orders, sum up."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from typing import Any

from ansible.utils.display import Display

from ansible_collections.madctl.multinode.plugins.module_utils import _codes, _follow, _outcome, _wire
from ansible_collections.madctl.multinode.plugins.plugin_utils import _reach

_WAITING_BYTES = 1 << 24
_LAST_WORDS_SECONDS = 30.0


def obey(follower: _follow.Follower, events: Events) -> None:
    """Stop on a signal to this process, and on an order from whoever listens to the events."""
    orders = events.orders
    follower.is_held = events.is_full
    reason = _codes.problem("INTERRUPTED", None, "interrupted")
    wake, waker = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)

    def on_signal() -> None:
        for number in os.read(wake, 64):
            if number in (signal.SIGINT, signal.SIGTERM):
                follower.interrupt(reason)

    follower.watch(wake, on_signal)
    if orders is None:
        return

    def on_order() -> None:
        order = orders.recv(1)
        if order == _wire.KILL and follower.interrupted:
            follower.kill_all()
        elif order == _wire.KILL:
            follower.interrupt(reason)
            follower.interrupt(reason)
        elif order == _wire.STOP:
            follower.interrupt(reason)
        else:
            # Whoever listened has gone, or wants to go: a run belongs to its nodes.
            follower.unwatch(orders)
            follower.detach()
            events.leave()

    follower.watch(orders, on_order)


class Events:
    """
    Where events go: to madctl where it listens, to the screen for everybody else.

    A slow or stopped reader never holds up who follows the nodes: what does not fit is left out, with word
    of how much. Where ``exact`` asks for every byte, it waits on the nodes instead: see ``is_full``.
    """

    def __init__(self, path: str | None, exact: bool = False) -> None:
        self.orders = _reach.connect(path) if path else None
        self._exact = exact
        self._frames: deque[bytes] = deque()
        self._bytes = 0
        self._left_out: dict[tuple[str, str], int] = {}
        self._changed = threading.Condition()
        self._closed = self._leaving = False
        self._thread = threading.Thread(target=self._write, daemon=True)

    def __enter__(self) -> Events:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            for source in list(self._left_out):
                self._say_left_out(source)
            self._closed = True
            self._changed.notify_all()
        self._thread.join(0 if self._leaving else _LAST_WORDS_SECONDS)

    def tell(self, event: dict[str, Any], payload: bytes) -> None:
        """Take one event."""
        if self.orders is None:
            _show(event, payload)
            return
        with self._changed:
            if payload:
                source = (event["host"], event["log"])
                if not self._exact and self._bytes >= _WAITING_BYTES:
                    self._left_out[source] = self._left_out.get(source, 0) + len(payload)
                    return
                self._say_left_out(source)
            self._put(_wire.encode(event, payload))

    def is_full(self) -> bool:
        """Tell whether a reader who wants every byte has to catch up first."""
        return self._exact and self._bytes >= _WAITING_BYTES

    def leave(self) -> None:
        """Drop what was not taken yet: whoever listened wants to go, or has gone."""
        with self._changed:
            self._frames.clear()
            self._bytes, self._leaving = 0, True

    def _say_left_out(self, source: tuple[str, str]) -> None:
        gap = self._left_out.pop(source, 0)
        if gap:
            self._put(_wire.encode({"event": "skipped", "host": source[0], "log": source[1], "size": gap}))

    def _put(self, frame: bytes) -> None:
        self._frames.append(frame)
        self._bytes += len(frame)
        self._changed.notify_all()

    def _write(self) -> None:
        while self.orders is not None:
            with self._changed:
                self._changed.wait_for(lambda: self._frames or self._closed)
                if not self._frames:
                    return
                frame = self._frames.popleft()
            try:
                self.orders.sendall(frame)
            except OSError:
                pass  # Nobody looks any more; the run goes on.
            with self._changed:
                self._bytes -= len(frame)
                self._changed.notify_all()


def _show(event: dict[str, Any], payload: bytes) -> None:
    if event["event"] == "log":
        source = event["log"].partition(".")[0].removeprefix("rank-").removeprefix("runner")
        prefix = "%s:%s" % (event["host"], source) if source else event["host"]
        for text in payload.decode("utf-8", "backslashreplace").splitlines():
            Display().display("%s | %s" % (prefix, text))


def result(follower: _follow.Follower, plan: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Give an action's result: how the run ended, or that it goes on without us."""
    problems, summary = _outcome.judge(follower.runs, plan, follower.interrupted)
    summary["duration_seconds"] = round(seconds, 3)
    found = {"changed": True, "summary": summary, "run_id": plan["run_id"], "detached": follower.detached}
    if follower.detached:
        return dict(found, exit_code=0)
    problems = follower.refused or problems
    found["exit_code"] = _codes.exit_code(problems)
    if problems:
        text = "\n".join(_codes.line(entry) for entry in problems)
        return dict(found, failed=True, msg=text, problems=problems)
    return found


def plan_of(arguments: dict[str, Any], task_vars: Any) -> dict[str, Any]:
    """Take the plan of a run, or what is known of it from its id and the hosts of the play."""
    if arguments.get("plan"):
        return dict(arguments["plan"])
    hosts = [{"host": host, "node_rank": rank} for rank, host in enumerate(task_vars["ansible_play_hosts_all"])]
    return {"run_id": str(arguments["run_id"]), "shape": "command", "world_size": 0, "nodes": hosts}


def answered(nodes: dict[str, Any], silent: dict[str, str], changed: bool) -> dict[str, Any]:
    """Give the result of an action that asked all nodes; it fails when some, with their reasons, were silent."""
    problems = [
        _codes.problem("NODE_SILENT", host, " ".join(why.split()), "see whether it is up: ssh %s" % host)
        for host, why in silent.items()
    ]
    found: dict[str, Any] = {"changed": changed, "nodes": nodes, "problems": problems}
    if problems:
        found.update(failed=True, msg="\n".join(_codes.line(entry) for entry in problems))
    return found

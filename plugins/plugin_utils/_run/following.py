# SPDX-License-Identifier: GPL-3.0-or-later
"""What every action that follows a run does: tell events, obey orders, sum up."""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import threading
from collections import deque
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, wire
from ansible_collections.madctl.multinode.plugins.module_utils._follow import run_outcome
from ansible_collections.madctl.multinode.plugins.module_utils._follow.follower import Follower
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes import way
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import playbook_screen

_WAITING_BYTES = 1 << 24
_EVENT_BYTES = 256  # about what its bookkeeping costs
_LAST_WORDS_SECONDS = 30.0
# Where Ansible was interrupted, and may not listen any more.
_HURRY_SECONDS = 5.0
# A graceful stop and what comes after it.
_STOPPING_SECONDS = 90.0


def obey(follower: Follower, events: Events) -> None:
    """Stop on a signal to this process and on an order from whoever listens; let go when ansible-playbook has died."""
    orders = events.orders
    follower.is_held = events.is_full
    reason = codes.problem("INTERRUPTED", None, "interrupted")
    wake, waker = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)

    def on_signal() -> None:
        try:
            numbers = os.read(wake, 64)
        except BlockingIOError:
            return
        # Ansible that is interrupted terminates its workers, too, and which signal comes first is nobody's promise:
        # that is no second interrupt.
        times = numbers.count(signal.SIGINT) or int(signal.SIGTERM in numbers and not follower.interrupted)
        for _ in range(times):
            follower.interrupt(reason)
            events.hurry(_HURRY_SECONDS)
        if follower.detached:
            events.leave(_HURRY_SECONDS)

    follower.watch(wake, on_signal)
    parent = multiprocessing.parent_process()

    def on_death(sentinel: int) -> None:
        follower.unwatch(sentinel)
        on_signal()  # It may have passed on what killed it.
        events.hurry(0)
        events.leave()
        if follower.interrupted:
            _end_process(_STOPPING_SECONDS)  # Nodes that cannot be told to stop keep nobody here.
        else:
            follower.detach()

    if parent is not None:
        follower.watch(parent.sentinel, functools.partial(on_death, parent.sentinel))
    if orders is None:
        return

    def on_order() -> None:
        order = orders.recv(1)
        if order == wire.KILL and follower.interrupted:
            follower.kill_all()
        elif order == wire.KILL:
            follower.interrupt(reason)
            follower.interrupt(reason)
        elif order == wire.STOP:
            follower.interrupt(reason)
        else:
            # Whoever listened has gone, or wants to go: a run belongs to its nodes.
            follower.unwatch(orders)
            follower.detach()
            events.leave()

    follower.watch(orders, on_order)


def _end_process(seconds: float) -> None:
    timer = threading.Timer(seconds, os._exit, [1])
    timer.daemon = True
    timer.start()


class Events:
    """
    Where events go: to madctl where it listens, to the screen for everybody else.

    A slow or stopped reader never holds up who follows the nodes: what does not fit is left out, with word
    of how much. Where ``exact`` asks for every byte, it waits on the nodes instead: see ``is_full``.
    """

    def __init__(self, path: str | None, screen: playbook_screen.Screen, exact: bool = False) -> None:
        self.orders = way.connect(path) if path else None
        self._screen = screen
        self._exact = exact
        self._frames: deque[tuple[dict[str, Any], bytes]] = deque()
        self._bytes = 0
        self._left_out: dict[tuple[str, str], int] = {}
        self._changed = threading.Condition()
        self._closed = self._is_last = False
        self._patience = _LAST_WORDS_SECONDS
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
        # Who ends in the middle of a message keeps all others from theirs, so it is waited for.
        self._thread.join(self._patience)
        if self._is_last:
            # The result, too, goes through a pipe that may be full, with nobody who reads it.
            _end_process(self._patience)
        if self.orders is None and not self._thread.is_alive():
            self._screen.flush()

    def tell(self, event: dict[str, Any], payload: bytes) -> None:
        """Take one event."""
        with self._changed:
            if payload:
                source = (event["host"], event["log"])
                if not self._exact and self._bytes >= _WAITING_BYTES:
                    self._left_out[source] = self._left_out.get(source, 0) + len(payload)
                    return
                self._say_left_out(source)
            self._put(event, payload)

    def is_full(self) -> bool:
        """Tell whether a reader who wants every byte has to catch up first."""
        return self._exact and self._bytes >= _WAITING_BYTES

    def leave(self, patience: float = 0) -> None:
        """Drop what was not taken yet: whoever listened wants to go, or has gone."""
        with self._changed:
            self._frames.clear()
            self._bytes, self._patience = 0, patience

    def hurry(self, patience: float) -> None:
        """Wait so many seconds for whoever reads, when all is told; then for the result, and end this process."""
        self._patience, self._is_last = patience, True

    def _say_left_out(self, source: tuple[str, str]) -> None:
        gap = self._left_out.pop(source, 0)
        if gap:
            self._put({"event": "skipped", "host": source[0], "log": source[1], "size": gap}, b"")

    def _put(self, event: dict[str, Any], payload: bytes) -> None:
        self._frames.append((event, payload))
        self._bytes += _EVENT_BYTES + len(payload)
        self._changed.notify_all()

    def _write(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._frames or self._closed)
                if not self._frames:
                    return
                event, payload = self._frames.popleft()
            self._pass_on(event, payload)
            with self._changed:
                self._bytes -= _EVENT_BYTES + len(payload)
                self._changed.notify_all()

    def _pass_on(self, event: dict[str, Any], payload: bytes) -> None:
        if self.orders is None:
            self._screen.on_event(event, payload)
            return
        try:
            self.orders.sendall(wire.encode(event, payload))
        except OSError:
            pass  # Nobody looks any more; the run goes on.


def result(follower: Follower, plan: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Give an action's result: how the run ended, or that it goes on without us."""
    problems, summary = run_outcome.judge(follower.runs, plan, follower.interrupted)
    summary["duration_seconds"] = round(seconds, 3)
    found = {"changed": True, "summary": summary, "run_id": plan["run_id"], "detached": follower.detached}
    if follower.detached:
        return dict(found, exit_code=0, problems=[])
    problems = follower.refused or problems
    found["exit_code"] = codes.exit_code(problems)
    return judged(found, problems)


def judged(found: dict[str, Any], problems: list[codes.Problem]) -> dict[str, Any]:
    """Add problems to a result, which fails with them; what is in it is for other tasks, not for the screen."""
    kept = {key: value for key, value in found.items() if key not in ("failed", "msg")}
    kept.update(problems=problems, _ansible_verbose_override=True)
    if not problems:
        return kept
    return dict(kept, failed=True, msg=playbook_screen.message(problems), failure=playbook_screen.summary(problems))


def left_to_role(result: dict[str, Any], arguments: dict[str, Any]) -> dict[str, Any]:
    """Leave it to another task to fail where the role has one, so that a failure is a line and not a whole result."""
    if not boolean(arguments.get("fail_on_problems", True)):
        result.pop("failed", None)
    return result


def answered(nodes: dict[str, Any], silent: dict[str, str], changed: bool) -> dict[str, Any]:
    """Give the result of an action that asked all nodes; it fails when some, with their reasons, were silent."""
    return judged({"changed": changed, "nodes": nodes}, [silence(host, why) for host, why in silent.items()])


def silence(host: str, why: str) -> codes.Problem:
    """Describe a node that did not answer, or not as it should."""
    return codes.problem("NODE_SILENT", host, " ".join(why.split()), "see whether it is up: ssh %s" % host)

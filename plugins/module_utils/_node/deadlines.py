# SPDX-License-Identifier: Apache-2.0
"""
Call functions that may hang in child processes, all at once, each with a deadline. Private to the collection.

They may wait for a dead file server, a silent name server, or a driver's tool on a broken card: a thread that hangs
there can never be ended, but a child process can be left behind.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import time
from typing import Any, Callable, Dict, Optional, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._node import procfs, small_files

SECONDS = 5.0
_KILL_SECONDS = 0.5
_ERROR_CHARACTERS = 2000

Call = Tuple[Callable[..., Any], Tuple[Any, ...]]


def together(
    calls: Dict[str, Call], seconds: float = SECONDS, patience: Optional[Dict[str, float]] = None
) -> Dict[str, Dict[str, Any]]:
    """
    Run every call in its own child, and return the results by name.

    Args:
        calls: Function and arguments by name; results must be JSON data.
        seconds: The time limit of each call, from now.
        patience: Other limits, by name.

    Returns:
        By name ``{"value": …}``, ``{"error": text}`` when the call raised, or ``{"hung": {"pid": int,
        "state": str | None, "wait": str | None}}``; the state is None once the child is gone.
    """
    children = {name: _start(*call) for name, call in calls.items()}
    answers = dict.fromkeys(calls, b"")
    open_pipes = {reader: name for name, (_, reader) in children.items()}
    started = time.monotonic()
    deadlines = {name: started + (patience or {}).get(name, seconds) for name in calls}
    hung = set()
    while open_pipes:
        left = min(deadlines[name] for name in open_pipes.values()) - time.monotonic()
        for reader in select.select(list(open_pipes), [], [], max(0.0, left))[0]:
            piece = os.read(reader, 1 << 16)
            if piece:
                answers[open_pipes[reader]] += piece
            else:
                del open_pipes[reader]
        for reader, name in list(open_pipes.items()):
            if time.monotonic() >= deadlines[name]:
                hung.add(name)
                del open_pipes[reader]
    results = {}
    for name, (pid, reader) in children.items():
        os.close(reader)
        if name in hung:
            results[name] = {"hung": _end(pid)}
        else:
            os.waitpid(pid, 0)
            results[name] = json.loads(answers[name] or b'{"error": "it ended without an answer"}')
    return results


def _start(function: Callable[..., Any], arguments: Tuple[Any, ...]) -> Tuple[int, int]:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writer)
        return pid, reader
    try:
        # A group, so that it is ended with everything it starts; the session remains the caller's, and ends with the
        # caller.
        os.setpgid(0, 0)
        os.close(reader)
        # A child that hangs in the kernel must not keep the connection open.
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(null, descriptor)
        try:
            answer = {"value": function(*arguments)}
        except Exception as error:  # noqa: BLE001  any error must reach the caller
            answer = {"error": ("%s: %s" % (type(error).__name__, error))[:_ERROR_CHARACTERS]}
        data = json.dumps(answer).encode()
        while data:
            data = data[os.write(writer, data) :]
    finally:
        os._exit(0)


def _end(pid: int) -> Dict[str, Any]:
    """Kill a child with everything it started; one that hangs in the kernel is reported, never waited for."""
    state, wait = _state(pid), small_files.text("/proc/%d/wchan" % pid)
    with contextlib.suppress(OSError):
        os.killpg(pid, signal.SIGKILL)
    deadline = time.monotonic() + _KILL_SECONDS
    while time.monotonic() < deadline:
        if os.waitpid(pid, os.WNOHANG)[0]:
            return {"pid": pid, "state": None, "wait": wait}
        time.sleep(0.01)
    return {"pid": pid, "state": _state(pid) or state, "wait": wait}


def _state(pid: int) -> Optional[str]:
    """Return a process's state letter (R, S, D, …), or None when there is no such process."""
    return next(iter(procfs.fields(pid)), None)

# SPDX-License-Identifier: GPL-3.0-or-later
"""
Follow a run that somebody started, from its files: attach to it, or just read its output.

Runs once a play. A small reader on each node sends what is in the run directory and then what comes;
it takes the orders to stop, and its end changes nothing.
"""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.madctl.multinode.plugins.module_utils import _follow
from ansible_collections.madctl.multinode.plugins.plugin_utils import _direct, _following, _reach

_MODULES = _direct.parts("_runs")


class ActionModule(ActionBase):
    """Run once a play."""

    BYPASS_HOST_LOOP = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Return how the run ended; fail with ``problems``, the first failure first."""
        super().run(tmp, task_vars)
        arguments = _direct.plain(self._task.args)
        plan = _following.plan_of(arguments, task_vars)
        follow = bool(arguments.get("follow", True))
        tell, orders = _following.listener(arguments.get("event_socket"))
        follower = _follow.Follower(plan, tell, read_only=bool(arguments.get("read_only")))
        _following.obey(follower, orders)
        started = time.monotonic()
        for node in plan["nodes"]:
            reach = _reach.Reach(node["host"], self._play_context, task_vars["hostvars"][node["host"]])
            request = {
                "run_id": plan["run_id"],
                "run_dir": node.get("run_dir"),
                "follow": follow,
                "end": bool(arguments.get("end")),
            }
            follower.armed(node["host"], open_tail(reach, request))
        follower.follow(None)
        if not follow:
            # Whoever only reads what is there judges nothing.
            return {"changed": False, "exit_code": 0}
        return _following.result(follower, plan, time.monotonic() - started)


def open_tail(reach: _reach.Reach, request: dict[str, Any]) -> socket.socket:
    """Start the reader on a node and give a channel of its frames, whatever a login script printed before."""
    program = _direct.Program("tail", _MODULES, request, speaks=True)
    process = reach.start(program.command(reach.python))
    ours, theirs = socket.socketpair()
    threading.Thread(target=_send, args=(process, program, theirs), daemon=True).start()
    threading.Thread(target=_order, args=(process, theirs), daemon=True).start()
    return ours


def _send(process: subprocess.Popen[bytes], program: _direct.Program, channel: socket.socket) -> None:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(program.text)
    process.stdin.flush()
    try:
        for line in process.stdout:
            if program.news(line) is not None:
                break
        while data := process.stdout.read1(1 << 18):  # type: ignore[attr-defined]
            channel.sendall(data)
    except OSError:
        pass  # Nobody follows any more.
    finally:
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

# SPDX-License-Identifier: GPL-3.0-or-later
"""
Arm all nodes, say go to all of them, follow every one to the end.

Runs once a play, so it does not depend on ``forks``: a blocking task for each node would wait for
ranks that were never started. The channel to a supervisor is a Unix socket that is forwarded through
Ansible's own connection: no handshake and no process on the node.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.madctl.multinode.plugins.module_utils import _codes, _follow, _outcome, _wire
from ansible_collections.madctl.multinode.plugins.plugin_utils import _direct, _reach

_PROGRAMS = ("_supervisor", "_rank", "_wire")
_MODULES = ("_words", "_argv", "_arm")
_FIRST_FRAME_SECONDS = 10


class ActionModule(ActionBase):
    """Run once a play."""

    BYPASS_HOST_LOOP = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Return how the run ended; fail with ``problems``, the first failure first."""
        super().run(tmp, task_vars)
        if self._task.check_mode:
            return {"changed": True}
        arguments = _direct.plain(self._task.args)
        plan, timeout = arguments["plan"], arguments.get("timeout")
        reach = {
            node["host"]: _reach.Reach(node["host"], self._play_context, task_vars["hostvars"][node["host"]])
            for node in plan["nodes"]
        }
        tell, orders = listener(arguments.get("event_socket"))
        follower = _follow.Follower(plan, tell)
        self._obey(follower, orders)
        started = time.monotonic()
        with Arming(plan, arguments.get("user_env") or {}, reach) as arming:
            follower.watch(arming.news, lambda: arming.pass_on(follower))
            if follower.wait_ready(float(plan["start_timeout"])):
                started = time.monotonic()
                follower.go()
                arming.close_forwards()
            else:
                arming.cancel()
                follower.stop_all()
            follower.follow(float(timeout) if timeout else None)
        problems, summary = _outcome.judge(follower.runs, plan, follower.interrupted)
        summary["duration_seconds"] = round(time.monotonic() - started, 3)
        result = {
            "changed": True,
            "summary": summary,
            "run_id": plan["run_id"],
            "exit_code": _codes.exit_code(problems),
        }
        if problems:
            text = "\n".join(_codes.line(entry) for entry in problems)
            return dict(result, failed=True, msg=text, problems=problems)
        return result

    def _obey(self, follower: _follow.Follower, orders: socket.socket | None) -> None:
        """Stop on a signal to this process, and on an order from whoever listens to the events."""
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
            if not order:
                follower.unwatch(orders)
            elif order == _wire.KILL:
                follower.interrupted = follower.interrupted or reason
                follower.kill_all()
            else:
                follower.interrupt(reason)

        follower.watch(orders, on_order)


class Arming:
    """Arm all nodes, a bounded number at a time, beside the loop of the follower."""

    def __init__(self, plan: dict[str, Any], user_env: dict[str, Any], reach: dict[str, _reach.Reach]) -> None:
        self._plan, self._user_env, self._reach = plan, user_env, reach
        self._programs = {name + ".py": _direct.source(name) for name in _PROGRAMS}
        self._private = tempfile.mkdtemp(prefix="madctl-")
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._forwards: list[tuple[_reach.Reach, str]] = []
        self._done: list[tuple[str, socket.socket | None, str]] = []
        self._cancelled = False
        self.news, self._post = os.pipe()

    def __enter__(self) -> Arming:
        self._pool = ThreadPoolExecutor(_reach.AT_ONCE)
        for node in self._plan["nodes"]:
            self._pool.submit(self._arm_and_post, node)
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()
        self._pool.shutdown()
        shutil.rmtree(self._private, ignore_errors=True)

    def pass_on(self, follower: _follow.Follower) -> None:
        """Give the follower what became of nodes since it last asked."""
        os.read(self.news, 1)
        with self._lock:
            host, channel, reason = self._done.pop(0)
        if channel is not None:
            follower.armed(host, channel)
        else:
            follower.not_armed(host, reason)

    def cancel(self) -> None:
        """Arm no more nodes, and wait for none."""
        with self._lock:
            self._cancelled = True
            for process in self._running:
                process.kill()

    def close_forwards(self) -> None:
        """Take the forwardings down."""
        list(self._pool.map(lambda pair: pair[0].unforward(pair[1]), self._forwards))

    def _arm_and_post(self, node: dict[str, Any]) -> None:
        channel = None
        try:
            channel, reason = self._arm(node)
        except OSError as error:
            reason = str(error)
        with self._lock:
            self._done.append((node["host"], channel, reason))
        os.write(self._post, b".")

    def _arm(self, node: dict[str, Any]) -> tuple[socket.socket | None, str]:
        reach = self._reach[node["host"]]
        shared = {key: self._plan[key] for key in ("run_id", "hostfile", "start_timeout", "grace")}
        request = {**shared, **node, "user_env": self._user_env, "programs": self._programs}
        program = _direct.Program("arm", _MODULES, request)
        forward = "%s/%d:%s/control.sock" % (self._private, node["node_rank"], node["run_dir"])
        with self._lock:
            if self._cancelled:
                return None, "not armed"
            process = reach.start(reach.python, "-L", forward)
            self._running.add(process)
        out, err = process.communicate(program.text)
        with self._lock:
            self._running.discard(process)
        answer = program.answer(process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))
        if "pid" not in answer:
            return None, " ".join(answer["msg"].split())[-400:]
        if reach.ssh is None:
            return _reach.connect(node["run_dir"] + "/control.sock"), ""
        channel = _reach.connect(forward.partition(":")[0])
        # A server that forbids forwarding closes at once; one that allows it says ready first.
        channel.settimeout(_FIRST_FRAME_SECONDS)
        try:
            alive = channel.recv(1, socket.MSG_PEEK)
        except OSError:
            alive = b""
        if alive:
            with self._lock:
                self._forwards.append((reach, forward))
            return channel, ""
        channel.close()
        return reach.relay(node["run_dir"]), ""


def listener(path: str | None) -> tuple[_follow.Listener, socket.socket | None]:
    """Send events to madctl where it listens, and print them for everybody else."""
    if path:
        channel = _reach.connect(path)

        def send(event: dict[str, Any], payload: bytes) -> None:
            try:
                channel.sendall(_wire.encode(event, payload))
            except OSError:
                pass  # Nobody looks any more; the run goes on.

        return send, channel
    display = Display()

    def show(event: dict[str, Any], payload: bytes) -> None:
        if event["event"] == "log":
            source = event["log"].partition(".")[0].removeprefix("rank-").removeprefix("runner")
            prefix = "%s:%s" % (event["host"], source) if source else event["host"]
            for text in payload.decode("utf-8", "backslashreplace").splitlines():
                display.display("%s | %s" % (prefix, text))

    return show, None

# SPDX-License-Identifier: GPL-3.0-or-later
"""
Go, once for all armed nodes, then follow every one of them to the end.

Runs once a play, so it does not depend on ``forks``. Each channel goes through the control socket
of the connection that Ansible already has: no handshake and no process on the node.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible import constants
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import connection_loader
from ansible.utils.display import Display

from ansible_collections.madctl.multinode.plugins.module_utils import _codes, _follow, _outcome, _wire

CHANNELS_AT_ONCE = 16
_RELAY = (
    "import os,select,socket,sys\n"
    "s=socket.socket(socket.AF_UNIX);os.chdir(sys.argv[1]);s.connect('control.sock')\n"
    "while True:\n"
    " for f in select.select([0,s],[],[])[0]:\n"
    "  d=os.read(0,65536) if f==0 else s.recv(65536)\n"
    "  if not d: sys.exit()\n"
    "  s.sendall(d) if f==0 else os.write(1,d)\n"
)


class ActionModule(ActionBase):
    """Run once a play."""

    BYPASS_HOST_LOOP = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Return how the run ended; fail with ``problems``, the first failure first."""
        super().run(tmp, task_vars)
        plan = self._task.args["plan"]
        timeout = self._task.args.get("timeout")
        armed_key = self._task.args["armed_from"]
        hosts = [node["host"] for node in plan["nodes"]]
        results = {host: task_vars["hostvars"][host].get(armed_key, {}) for host in hosts}
        not_armed = [host for host in hosts if "pid" not in results[host]]
        self._private = tempfile.mkdtemp(prefix="madctl-")
        self._forwards: list[list[str]] = []
        tell, orders = listener(self._task.args.get("event_socket"))
        started = time.monotonic()
        try:
            channels = self._open_all([node for node in plan["nodes"] if node["host"] not in not_armed], task_vars)
            follower = _follow.Follower(plan, channels, tell)
            for host in not_armed:
                follower.not_armed(host, reason_of(results[host]))
            self._obey(follower, orders)
            if follower.wait_ready(float(plan["start_timeout"])):
                follower.go()
                self._close_forwards()
            else:
                follower.stop_all()
            follower.follow(float(timeout) if timeout else None)
            problems, summary = _outcome.judge(follower.runs, plan, follower.interrupted)
            summary["duration_seconds"] = round(time.monotonic() - started, 3)
            return self._result(plan, problems, summary)
        finally:
            shutil.rmtree(self._private, ignore_errors=True)

    def _result(self, plan: Any, problems: list[dict[str, Any]], summary: dict[str, Any]) -> dict[str, Any]:
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

    # -- channels -------------------------------------------------------------------------------

    def _open_all(self, nodes: Any, task_vars: Any) -> dict[str, socket.socket]:
        targets = [(node["host"], node["run_dir"], self._ssh(node["host"], task_vars)) for node in nodes]
        with ThreadPoolExecutor(CHANNELS_AT_ONCE) as pool:
            channels = list(pool.map(lambda target: self._open(*target), targets))
        return dict(zip([host for host, _, _ in targets], channels))

    def _ssh(self, host: str, task_vars: Any) -> list[str] | None:
        """Write the ssh command line for a host as Ansible does, or None where it is this machine."""
        variables = task_vars["hostvars"][host]
        kind = variables.get("ansible_connection", self._play_context.connection)
        if kind in ("local", "ansible.builtin.local"):
            return None
        connection = connection_loader.get("ansible.builtin.ssh", self._play_context, None)
        names = constants.config.get_plugin_vars("connection", connection._load_name)
        connection.set_options(
            task_keys={"remote_user": self._play_context.remote_user, "port": self._play_context.port},
            var_options={name: variables[name] for name in names if name in variables},
        )
        # The path of the control socket is a hash of these, which Ansible sets just before it connects.
        connection.host = connection.get_option("host") or host
        words = connection._build_command(connection.get_option("ssh_executable"), "ssh")
        return [*(word.decode() for word in words), "-T", "--", str(connection.host)]

    def _open(self, host: str, run_dir: str, ssh: list[str] | None) -> socket.socket:
        if ssh is None:
            return connect(run_dir + "/control.sock")
        path = os.path.join(self._private, "".join(filter(str.isalnum, host))[:40])
        *options, _, target = ssh
        way = ["-L", "%s:%s/control.sock" % (path, run_dir), "--", target]
        if (
            subprocess.run(
                [*options, "-O", "forward", *way], stdin=subprocess.DEVNULL, capture_output=True, check=False
            ).returncode
            == 0
        ):
            channel = connect(path)
            # A server that forbids forwarding closes at once; one that allows it says ready first.
            channel.settimeout(10)
            try:
                alive = channel.recv(1, socket.MSG_PEEK)
            except OSError:
                alive = b""
            if alive:
                self._forwards.append([*options, "-O", "cancel", *way])
                return channel
            channel.close()
        return relay(ssh, run_dir)

    def _close_forwards(self) -> None:
        """Take the listeners down again: the connections outlive this run, the listeners need not."""
        with ThreadPoolExecutor(CHANNELS_AT_ONCE) as pool:
            list(
                pool.map(
                    lambda argv: subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False),
                    self._forwards,
                )
            )


def reason_of(result: Any) -> str:
    """Say in one line why a node could not be armed."""
    text = " ".join(str(result.get("msg", "no answer")).split())
    return text.removeprefix("NODE_NOT_READY: ")[-400:]


def connect(path: str) -> socket.socket:
    """Connect to a Unix socket, however long its path is."""
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        channel.connect("/proc/self/fd/%d/%s" % (directory, os.path.basename(path)))
    except OSError:
        pass  # Reading from it fails, which the follower reports with the node's name.
    finally:
        os.close(directory)
    return channel


def relay(ssh: list[str], run_dir: str) -> socket.socket:
    """Open a channel of its own where there is no control socket to share."""
    import shlex

    ours, theirs = socket.socketpair()
    command = "exec python3 -I -S -c %s %s" % (shlex.quote(_RELAY), shlex.quote(run_dir))
    subprocess.Popen([*ssh, command], stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL)
    theirs.close()
    return ours


def listener(path: str | None) -> tuple[_follow.Listener, socket.socket | None]:
    """Send events to madctl where it listens, and print them for everybody else."""
    if path:
        channel = connect(path)

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

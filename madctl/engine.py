# SPDX-License-Identifier: Apache-2.0
"""
Run a playbook of the collection: the only file that knows ansible-runner.

Two streams come back: Ansible's own task results, and, once nodes are armed, the events of the run
on a private socket, which also carries the order to stop the other way.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.madctl.multinode.plugins.module_utils import _hostlist
from madctl.errors import ExitCode, Problem, RunError, UsageError
from madctl.options import Targets

COLLECTION = "madctl.multinode"
RECEIVER = "madctl-events"
_FORKS_A_CORE = 8
_MAX_FORKS = 64
# A screen may be slow to take what was said before the end; one that takes nothing is not waited for.
_LAST_WORDS_SECONDS, _LEAVING_SECONDS = 30.0, 0.5
_CANCEL_SECONDS = 0.5  # how often it is looked whether Ansible is to be ended
_FOLLOWING = ("launch", "logs")  # playbooks that send the events of a run

TaskListener = Callable[[str, str, dict[str, Any]], None]  # task, host, result
EventListener = Callable[[dict[str, Any], bytes], None]


def unsafe(value: Any) -> Any:
    """
    Mark every string in nested data as text that is no template, the way Ansible's JSON does.

    JSON, because its escapes carry bytes that are not UTF-8 where YAML's do not.
    """
    if isinstance(value, str):
        return {"__ansible_unsafe": value}
    if isinstance(value, dict):
        return {key: unsafe(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [unsafe(entry) for entry in value]
    return value


class Engine:
    """One run of one playbook; ``directory`` is private to this user and holds no secret afterwards."""

    def __init__(self, on_task: TaskListener, on_event: EventListener) -> None:
        self._on_task = on_task
        self._on_event = on_event
        self._directory = Path(tempfile.mkdtemp(prefix="madctl-"))
        self._variables = self._directory / "variables.json"
        self._orders: socket.socket | None = None
        self._missed = b""
        self._lock = threading.RLock()  # A signal may come while it is held.
        self._cancelled = threading.Event()
        self.failure: str | None = None
        self._leaving = False

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)

    def run(self, playbook: str, targets: Targets, variables: dict[str, Any]) -> None:
        """
        Run a playbook to its end.

        Args:
            targets: The nodes and how they are reached.
            variables: Extra variables; no string in them is ever taken for a template.
        """
        import ansible_runner

        path = self._directory / "inventory.yml"
        path.write_text(dump_inventory(targets.inventory))
        listener = self._listen() if playbook in _FOLLOWING else None
        if listener:
            variables = {**variables, "madctl_event_socket": str(self._directory / "events.sock")}
        extra = self._variables
        extra.touch(0o600)
        extra.write_text(json.dumps(unsafe(variables)))
        runner = self._directory / "runner"
        (runner / "env").mkdir(parents=True)
        # It takes settings from this file alone.
        (runner / "env" / "settings").write_text(json.dumps({"pexpect_timeout": _CANCEL_SECONDS}))
        words = f"-e @{extra}"
        if targets.become_password_file:
            words += f" --become-password-file {shlex.quote(targets.become_password_file)}"
        ansible_runner.run(
            private_data_dir=str(runner),
            playbook=f"{COLLECTION}.{playbook}",
            inventory=[*map(os.path.abspath, targets.sources), str(path)],
            limit="madctl_nodes",
            cmdline=words,
            forks=forks(len(targets.names)),
            envvars=environment(),
            event_handler=self._handle,
            cancel_callback=self._cancelled.is_set,
            suppress_env_files=True,
            quiet=True,
        )
        if listener:
            listener.shutdown(socket.SHUT_RDWR)  # Ends the wait for a playbook that never came so far.
            listener.close()
            self._receiver.join(_LEAVING_SECONDS if self._leaving else _LAST_WORDS_SECONDS)

    def stop(self, order: bytes, leaving: bool = False) -> bool:
        """Send an order to whoever follows the run, the last one when ``leaving``; False when nobody does yet."""
        self._leaving = self._leaving or leaving
        with self._lock:
            if self._orders is None:
                self._missed = order
                return False
            try:
                self._orders.send(order)
            except OSError:
                return False
            return True

    def cancel(self) -> None:
        """End Ansible itself; what it armed on nodes is left to the caller."""
        self._cancelled.set()

    def _listen(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(self._directory / "events.sock"))
        listener.listen(1)
        self._receiver = threading.Thread(target=self._receive, args=(listener,), daemon=True, name=RECEIVER)
        self._receiver.start()
        return listener

    def _receive(self, listener: socket.socket) -> None:
        from ansible_collections.madctl.multinode.plugins.module_utils._wire import Decoder

        try:
            channel, _ = listener.accept()
        except OSError:
            return
        with self._lock:
            self._orders = channel
            if self._missed:
                # Ansible is being ended, but came here first: nothing may start any more.
                channel.send(self._missed)
        decoder = Decoder()
        while data := channel.recv(1 << 18):
            for event, payload in decoder.feed(data):
                self._on_event(event, payload)
        with self._lock:
            self._orders = None

    def _handle(self, event: dict[str, Any]) -> bool:
        data = event.get("event_data", {})
        if event["event"] == "playbook_on_start":
            # They were read, and hold the user's variables; ansible-runner writes down its whole environment, too.
            # Whatever becomes of us, they do not stay.
            for path in (self._variables, *self._directory.glob("runner/artifacts/*/command")):
                path.unlink(missing_ok=True)
        if event["event"] in ("runner_on_ok", "runner_on_failed", "runner_on_unreachable"):
            self._on_task(data.get("task_action", ""), data.get("host", ""), data.get("res") or {})
        elif event["event"] in ("error", "verbose") and "ERROR" in event.get("stdout", ""):
            self.failure = self.failure or event["stdout"].strip()
        return False


def forks(hosts: int) -> int:
    """Bound the handshakes that run at once by what this machine's cores can carry."""
    return max(1, min(hosts, _MAX_FORKS, _FORKS_A_CORE * (os.cpu_count() or 1)))


def environment() -> dict[str, str]:
    """Give what Ansible needs to find this very collection and its own programs."""
    spec = importlib.util.find_spec("ansible_collections.madctl.multinode")
    if spec is None or not spec.submodule_search_locations:
        raise RunError(
            ExitCode.INTERNAL, Problem("COLLECTION_MISSING", "the collection is not installed", remedy="run make setup")
        )
    root = Path(next(iter(spec.submodule_search_locations))).parents[2]
    return {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "ANSIBLE_COLLECTIONS_PATH": str(root),
        # ansible-runner turns host key checking off where nobody turns it on.
        "ANSIBLE_HOST_KEY_CHECKING": "True",
        "ANSIBLE_NOCOLOR": "1",
        # A callback that draws is for playbooks that people run by hand; here madctl is the screen.
        "ANSIBLE_STDOUT_CALLBACK": "default",
        "ANSIBLE_DEPRECATION_WARNINGS": "0",
        "ANSIBLE_RETRY_FILES_ENABLED": "0",
    }


def inventory_hosts(sources: Sequence[str], limit: str | None) -> list[str]:
    """
    List the hosts of a user's own inventory, in its order.

    Raises:
        UsageError: If Ansible cannot read it or nothing matches.
    """
    argv = ["ansible", "--list-hosts", *(f"--inventory={source}" for source in sources), "--", limit or "all"]
    done = subprocess.run(argv, env={**os.environ, **environment()}, capture_output=True, text=True, check=False)
    names = [line.strip() for line in done.stdout.splitlines()[1:] if line.strip()]
    if done.returncode or not names:
        reason = (done.stderr.strip().splitlines() or ["no host matches"])[-1]
        raise UsageError(Problem("INVENTORY_EMPTY", f"inventory {', '.join(sources)}: {reason}"))
    wrong = [name for name in names if not _hostlist.is_name(name)]
    # A name that holds a new line looks like two; Ansible says how many it wrote.
    if wrong or f"({len(names)})" not in done.stdout.partition("\n")[0]:
        raise UsageError(Problem("HOST_INVALID", f"{wrong[0] if wrong else names!r} of the inventory cannot be a host"))
    return names


def dump_inventory(inventory: dict[str, Any]) -> str:
    """Write an inventory as YAML."""
    return str(yaml.safe_dump(inventory, sort_keys=False))

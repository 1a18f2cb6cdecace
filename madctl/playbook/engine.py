# SPDX-License-Identifier: Apache-2.0
"""
Run a playbook of the collection: the only file that uses ansible-runner.

It yields two streams: Ansible's own task results, and, once nodes are armed, the events of the run
on a private socket, which carries orders in the other direction.
"""

from __future__ import annotations

import json
import os
import shlex
import socket
import threading
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.madctl.multinode.plugins.module_utils._common import private_places
from ansible_collections.madctl.multinode.plugins.module_utils._common.wire import Decoder
from madctl.ansible_settings import environment
from madctl.nodes.inventory import GROUP, Targets, control_directory, group_of, typed, with_variables
from madctl.nodes.own_inventory import located, strict
from madctl.playbook import EventListener, TaskListener

COLLECTION = "madctl.multinode"
RECEIVER = "madctl-events"
_FORKS_A_CORE = 8
_MAX_FORKS = 64
# How long a slow screen may take to show the last events, and how long we wait when detaching.
_LAST_WORDS_SECONDS, _LEAVING_SECONDS = 30.0, 0.5
_CANCEL_SECONDS = 0.5  # how often to check whether to end Ansible
_FOLLOWING = ("launch", "check", "logs")  # playbooks that send the events of a run


def unsafe(value: Any) -> Any:
    """
    Mark every string in nested data as plain text, not a template, as Ansible's JSON does.

    JSON rather than YAML, because its escapes can carry bytes that are not UTF-8.
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
        self._directory = Path(private_places.private())
        self._variables = self._directory / "variables.json"
        self._orders: socket.socket | None = None
        self._missed = b""
        self._lock = threading.RLock()  # A signal may arrive while it is held.
        self._cancelled = threading.Event()
        self.failure: str | None = None
        self._complained = False
        self._leaving = False

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        private_places.remove(str(self._directory))

    def run(self, playbook: str, targets: Targets, variables: dict[str, Any]) -> None:
        """
        Run a playbook to its end.

        Args:
            targets: The nodes, and how they are reached.
            variables: Extra variables; their strings are never treated as templates.
        """
        import ansible_runner

        path = self._directory / "inventory.yml"
        path.write_text(json.dumps(unsafe(self._with_short_sockets(targets.inventory))))
        listener = self._listen() if playbook in _FOLLOWING else None
        if listener:
            variables = {**variables, "madctl_event_socket": str(self._directory / "events.sock")}
        extra = self._variables
        extra.touch(0o600)
        extra.write_text(json.dumps(unsafe({**variables, **typed(targets.inventory)})))
        runner = self._directory / "runner"
        (runner / "env").mkdir(parents=True)
        # ansible-runner reads its settings only from this file.
        (runner / "env" / "settings").write_text(json.dumps({"pexpect_timeout": _CANCEL_SECONDS}))
        words = f"-e {shlex.quote(f'@{extra}')}"
        if targets.become_password_file:
            words += f" --become-password-file {shlex.quote(targets.become_password_file)}"
        ansible_runner.run(
            private_data_dir=str(runner),
            # Ansible runs in the user's directory, so it finds the same settings and files as without madctl.
            project_dir=os.curdir,
            playbook=f"{COLLECTION}.{playbook}",
            inventory=[*map(located, targets.sources), str(path)],
            limit=GROUP,
            cmdline=words,
            forks=forks(len(targets.names)),
            envvars={**environment(), **strict(targets.sources)},
            event_handler=self._handle,
            cancel_callback=self._cancelled.is_set,
            suppress_env_files=True,
            quiet=True,
        )
        if listener:
            self._end_listening(listener)

    def stop(self, order: bytes, leaving: bool = False) -> bool:
        """Send an order to the action that follows the run, the last if ``leaving``; return whether it was sent."""
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
        """End Ansible itself; the caller disarms nodes that were armed."""
        self._cancelled.set()

    def _with_short_sockets(self, inventory: dict[str, Any]) -> dict[str, Any]:
        """Put the sockets of connections into our directory if ssh cannot use the path of the usual one."""
        named = group_of(inventory)["vars"].get("ansible_control_path_dir")
        if private_places.is_plain(os.path.expanduser(named or control_directory())):
            return inventory
        return with_variables(inventory, ansible_control_path_dir=str(self._directory / "cp"))

    def _listen(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(self._directory / "events.sock"))
        listener.listen(1)
        self._receiver = threading.Thread(target=self._receive, args=(listener,), daemon=True, name=RECEIVER)
        self._receiver.start()
        return listener

    def _end_listening(self, listener: socket.socket) -> None:
        """Receive the last events, and accept no more connections."""
        listener.shutdown(socket.SHUT_RDWR)  # close() alone would not wake accept().
        listener.close()
        self._receiver.join(_LEAVING_SECONDS if self._leaving else _LAST_WORDS_SECONDS)

    def _receive(self, listener: socket.socket) -> None:
        while True:
            try:
                channel, _ = listener.accept()
            except OSError:
                return
            self._hear(channel)

    def _hear(self, channel: socket.socket) -> None:
        """Receive the events of one action; there is a second one if net-tools were installed in between."""
        with self._lock:
            self._orders = channel
            if self._missed:
                # Ansible is being ended, but the action connected first, and must not start anything.
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
            # Ansible has read these files with the user's variables; ansible-runner also records its whole environment.
            # Delete them now, so that they do not remain even if madctl is killed.
            for path in (self._variables, *self._directory.glob("runner/artifacts/*/command")):
                path.unlink(missing_ok=True)
        if event["event"] in ("runner_on_ok", "runner_on_failed", "runner_on_unreachable"):
            self._on_task(data.get("task_action", ""), data.get("host", ""), data.get("res") or {})
        elif event["event"] in ("error", "verbose"):
            self._heed(str(event.get("stdout") or ""))
        return False

    def _heed(self, text: str) -> None:
        """Keep Ansible's first error message, or without one the last line of its output."""
        line = text.strip()
        if "ERROR" in line and not self._complained:
            self._complained, self.failure = True, line
        elif line and not self._complained:
            self.failure = line


def forks(hosts: int) -> int:
    """Return how many handshakes may run at once, limited by the cores of this machine."""
    return max(1, min(hosts, _MAX_FORKS, _FORKS_A_CORE * (os.cpu_count() or 1)))


class _Dumper(yaml.SafeDumper):
    """Writes YAML for people and for plain Ansible."""


def _represent(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # Ansible's templates contain a brace, or begin with a comment that configures Jinja.
    may_be_template = "{" in text or text.startswith("#")
    return dumper.represent_scalar("!unsafe", text) if may_be_template else dumper.represent_str(text)


_Dumper.add_representer(str, _represent)


def dump_inventory(inventory: dict[str, Any]) -> str:
    """Write an inventory as YAML, in which no string is a template."""
    return str(yaml.dump(inventory, Dumper=_Dumper, sort_keys=False))

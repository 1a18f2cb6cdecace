# SPDX-License-Identifier: Apache-2.0
"""
Carry requests between the runner of a model's script, in its container, and this node's supervisor.

Requests are files in a directory that both see. Any of them may come from the container, whose root could make it a
link to a file that it cannot read: so no link is followed, and everything has bounds. On the first node, mpirun's agent
requests daemons; on the others, scripts wait for the daemon of their call. Delivered beside the supervisor; private to
the collection.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
from typing import Any, Dict, List, Optional, Set, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._supervise.mpi_relay import REQUEST_BYTES

_ANSWER_SECONDS = 30.0
_MOST_CALLS = 1 << 14
_NAME_BYTES, _TROUBLE_BYTES = 1 << 10, 400
_CALL = re.compile(r"%s=((\d{1,20})\.(\d{1,6})) " % run_directory.CALL, re.ASCII)
_ID = re.compile(r"(\d{1,20})\.(\d{1,6})", re.ASCII)
_REACH = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_PASSED = "exit 1"  # what a script gets if the first node has passed its call without it
_TROUBLES = ("MPI_MISSING", "MPI_UNSUPPORTED", "MPI_MIXED")


class Shared:
    """The shared directory; its methods find nothing if it is not as it should be."""

    def __init__(self, path: str) -> None:
        self._root = os.open(path, _REACH)

    def names(self, directory: str) -> List[str]:
        """Return the names in a directory."""
        with contextlib.suppress(OSError), _opened(directory, self._root) as place:
            return os.listdir(place.number)[:_MOST_CALLS]
        return []

    def text(self, directory: str, name: str, limit: int) -> Optional[str]:
        """Return the text of a file; None if there is none, or it is longer than that."""
        with contextlib.suppress(OSError), _opened(directory, self._root) as place:
            number = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=place.number)
            with open(number, "rb") as stream:
                data = stream.read(limit + 1)
            return data.decode("utf-8", "replace") if len(data) <= limit else None
        return None

    def write(self, directory: str, name: str, text: str) -> None:
        """Write a file, completely or not at all."""
        with contextlib.suppress(OSError), _opened(directory, self._root) as place:
            partial = ".%s.partial" % name
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            with open(os.open(partial, flags, 0o600, dir_fd=place.number), "w", encoding="utf-8") as stream:
                stream.write(text)
            os.rename(partial, name, src_dir_fd=place.number, dst_dir_fd=place.number)


class _opened:  # noqa: N801  used like open()
    """A directory below another, possibly several levels down, none of which is a link."""

    def __init__(self, path: str, root: int) -> None:
        self._path, self._root, self.number = path, root, -1

    def __enter__(self) -> _opened:
        self.number = os.dup(self._root)
        for part in filter(None, self._path.split("/")):
            try:
                inner = os.open(part, _REACH, dir_fd=self.number)
            finally:
                os.close(self.number)
            self.number = inner
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.number)


class Asking:
    """The first node: passes requests of mpirun's agents to the supervisor, and its answers back."""

    def __init__(self, shared: Shared, key: str) -> None:
        self._shared, self._key = shared, key
        self._done: Set[str] = set()
        # Connections to the supervisor, which closes that of a daemon that has ended; by the directory of its agent.
        self._channels: Dict[str, socket.socket] = {}

    def look(self) -> None:
        """Pass on new requests."""
        for place, channel in list(self._channels.items()):
            if _is_over(channel):
                self._channels.pop(place).close()
                self._shared.write(place, run_directory.DONE, "")
        for name in self._shared.names(run_directory.ASKED):
            place = "%s/%s" % (run_directory.ASKED, name)
            if name in self._done or self._shared.text(place, "ready", 0) is None:
                continue
            self._done.add(name)
            host = self._shared.text(place, "host", _NAME_BYTES)
            command = self._shared.text(place, "words", REQUEST_BYTES // 2)
            self._shared.write(place, "answer", self._answer(place, host or "", command or ""))

    def _answer(self, place: str, host: str, command: str) -> str:
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            channel.settimeout(_ANSWER_SECONDS)
            channel.connect(run_directory.RELAY_SOCKET)
            channel.sendall(json.dumps({"key": self._key, "host": host, "command": command}).encode() + b"\n")
            answer = json.loads(channel.recv(1 << 16))
            channel.setblocking(False)
        except (OSError, ValueError) as error:
            channel.close()
            return "refused this run does not start daemons: %s\n" % error
        self._channels[place] = channel
        return "refused %s\n" % answer["refused"] if answer["refused"] else "started %s\n" % answer["address"]


def _is_over(channel: socket.socket) -> bool:
    try:
        return not channel.recv(1)
    except BlockingIOError:
        return False
    except OSError:
        return True


class Waiting:
    """Any other node: a waiting script gets the daemon of its call, or learns that there will be none."""

    def __init__(self, shared: Shared, key: str) -> None:
        """
        Connect to the supervisor.

        Raises:
            OSError: If it does not listen.
        """
        self._shared = shared
        self._channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._channel.connect(run_directory.RELAY_SOCKET)
        self._channel.sendall(json.dumps({"key": key}).encode() + b"\n")
        self._channel.setblocking(False)
        self._unread = b""
        self._pending: Dict[str, Tuple[str, int]] = {}
        # The numbers of daemons, by call.
        self._serials: Dict[str, int] = {}
        self._released: Set[str] = set()

    def look(self) -> None:
        """Pass on new daemons and calls."""
        for message in self._messages():
            if "over" in message:
                self._shared.write("", run_directory.OVER, "%s\n" % message["over"])
                continue
            found = _CALL.match(str(message.get("command")))
            if found:
                self._pending[found[1]] = (found[2], int(found[3]))
                self._serials[found[1]] = message["serial"]
                self._shared.write(run_directory.ORDERS, found[1], str(message["command"]))
        begun = [name for name in self._shared.names(run_directory.BEGUN) if name in self._pending]
        for name in begun:
            del self._pending[name]
            with contextlib.suppress(OSError):
                self._channel.sendall(b"begun\n")
        for name in self._shared.names(run_directory.DONE):
            if name in self._serials and name not in self._pending:
                with contextlib.suppress(OSError):
                    self._channel.sendall(b"ended %d\n" % self._serials.pop(name))
        if self._pending:
            self._pass()

    def _messages(self) -> List[Dict[str, Any]]:
        with contextlib.suppress(OSError):
            self._unread += self._channel.recv(1 << 20)
        *lines, self._unread = self._unread.split(b"\n")
        return [json.loads(line) for line in lines]

    def _pass(self) -> None:
        """Release calls that the first node has passed, and will never request: of another model, or earlier ones."""
        wanted = list(self._pending.values())
        for name in self._shared.names(run_directory.CALLS):
            found = _ID.fullmatch(name)
            if not found or name in self._pending or name in self._released:
                continue
            if any(model != found[1] or number > int(found[2]) for model, number in wanted):
                self._released.add(name)
                if self._shared.text(run_directory.ORDERS, name, REQUEST_BYTES) is None:
                    self._shared.write(run_directory.ORDERS, name, _PASSED)


def trouble(shared: Shared) -> Tuple[Optional[str], str]:
    """Return the code and the message for why mpirun cannot be used in the image; None without such a reason."""
    code, _, text = (shared.text("", run_directory.TROUBLE, _TROUBLE_BYTES) or "").strip().partition(" ")
    shown = "".join(character if character.isprintable() else "?" for character in text)
    return (code, shown) if code in _TROUBLES else (None, "")

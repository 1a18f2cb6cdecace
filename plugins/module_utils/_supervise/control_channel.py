# SPDX-License-Identifier: Apache-2.0
"""
Serve the supervisor's side of the channel to its follower: orders in, events and output out.

Events go before output, so that a flood of lines never delays the news of a failure; only the last event
waits for the last byte. The supervisor does not wait for a follower that falls far behind, but reports the gap to it,
which the files still contain. Delivered beside the supervisor; private to the collection.
"""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import socket
from typing import Any, Callable, Dict, List, Optional, Set

from ansible_collections.madctl.multinode.plugins.module_utils._common import events, run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._common.wire import Orders, encode
from ansible_collections.madctl.multinode.plugins.module_utils._node import log_segments
from ansible_collections.madctl.multinode.plugins.module_utils._node.log_segments import CHUNK, Log

LAG_BYTES = 1 << 26  # a follower that is further behind a log than this
RESUME_BYTES = 1 << 20  # continues this far before its end


class Feed:
    """The channel to one follower at a time; every event is also written to ``events.jsonl``."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        hello: Dict[str, Any],
        log_cap: int,
        obey: Callable[[bytes], None],
        dropped: Callable[[], None],
    ) -> None:
        """
        Listen on ``control.sock`` in the working directory.

        Args:
            hello: The first frame of every follower.
            log_cap: How many bytes of each log to keep.
            obey: Gets the bytes of orders.
            dropped: Called when the follower has disconnected.
        """
        self._selector, self._hello, self._obey, self._dropped = selector, hello, obey, dropped
        self.hear: Callable[[Dict[str, Any]], None] = lambda _: None
        self.pass_on: Callable[[Dict[str, Any]], None] = lambda _: None
        self._orders = Orders()
        self._log_cap = log_cap
        self.logs: Dict[str, Log] = {}
        self.pipes: Set[int] = set()
        self._degraded = False
        self.follower: Optional[socket.socket] = None
        self._number = 0
        self._events = os.open(run_directory.EVENTS, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._torn = False
        self._frames: List[bytes] = []
        self._last: Optional[bytes] = None
        self._sent: Dict[str, int] = {}
        self._turns: List[str] = []
        self._outgoing = b""
        # Relative, because an absolute run directory may not fit into a socket address.
        listen(selector, run_directory.CONTROL_SOCKET, self._read, self._accept)

    def emit(self, *, last: bool = False, **event: Any) -> None:
        """Send an event to the follower, and keep it for later ones; the ``last`` event waits for all output."""
        self._number += 1
        frame = encode(dict(event, seq=self._number))
        if last:
            self._last = frame
        else:
            self._frames.append(frame)
        self._write(frame)

    def _write(self, frame: bytes) -> None:
        """Write an event to the file; on a full disk later followers miss it, but the job continues."""
        line = b"\n" + frame if self._torn else frame
        try:
            written = os.write(self._events, line)
        except OSError:
            return
        # Otherwise, half a line would also corrupt the event after it.
        self._torn = written < len(line) if written else self._torn

    def collect(self, name: str, descriptor: int) -> None:
        """Write everything that arrives on a pipe to the log of that name, and send it."""
        os.set_blocking(descriptor, False)
        log = self._log(name)
        self.pipes.add(descriptor)

        def read(_: Any) -> None:
            try:
                data = os.read(descriptor, CHUNK)
            except BlockingIOError:
                return
            except OSError:
                data = b""  # It is not a pipe: any process of the job can send any descriptor.
            if not data:
                self.pipes.discard(descriptor)
                self._selector.unregister(descriptor)
                os.close(descriptor)
                return
            log.append(data)
            if log.lost and not self._degraded:
                self._degraded = True
                self.emit(event=events.LOG_DEGRADED, log=name, size=log.size)

        try:
            self._selector.register(descriptor, selectors.EVENT_READ, read)
        except OSError:
            self.pipes.discard(descriptor)
            os.close(descriptor)

    def keep(self, name: str, data: bytes) -> None:
        """Write what was printed earlier to the log of that name, if anything was."""
        if data:
            self._log(name).append(data)

    def _log(self, name: str) -> Log:
        if name not in self.logs:
            self.logs[name] = Log(run_directory.LOGS, name, self._log_cap)
            self._turns.append(name)
        return self.logs[name]

    @property
    def is_behind(self) -> bool:
        """Whether a follower has not been sent everything yet."""
        if self.follower is None:
            return False
        unread = any(log.size > self._sent.get(log.name, 0) for log in self.logs.values())
        return bool(self._outgoing or self._frames or self._last or unread)

    def send(self) -> None:
        """Send as much as the follower accepts."""
        if not self.follower:
            return
        try:
            while self._fill():
                self._outgoing = self._outgoing[self.follower.send(self._outgoing) :]
            events = selectors.EVENT_READ
        except BlockingIOError:
            events = selectors.EVENT_READ | selectors.EVENT_WRITE
        except OSError:
            self.drop()
            return
        self._selector.modify(self.follower, events, self._read)

    def drop(self) -> None:
        """Disconnect the follower."""
        if self.follower:
            self._selector.unregister(self.follower)
            self.follower.close()
            self.follower = None
            self._dropped()

    def _accept(self, connection: socket.socket) -> bool:
        if self.follower:
            connection.close()
            return False
        connection.setblocking(False)
        self.follower, self._orders = connection, Orders()
        self._frames.insert(0, encode(self._hello))
        return True

    def _read(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.drop()
            return
        orders, messages = self._orders.feed(data)
        self._obey(orders)
        for message in messages:
            (self.pass_on if "signal" in message else self.hear)(message)

    def _fill(self) -> bool:
        """Choose the next piece to send, and return whether there is one."""
        if not self._outgoing and self._frames:
            self._outgoing = self._frames.pop(0)
        if not self._outgoing:
            self._outgoing = self._next_output()
        if not self._outgoing and self._last:
            self._outgoing, self._last = self._last, None
        return bool(self._outgoing)

    def _next_output(self) -> bytes:
        for name in list(self._turns):
            log, sent = self.logs[name], self._sent.get(name, 0)
            if sent >= log.size:
                continue
            wanted = log.size - RESUME_BYTES if log.size - sent > LAG_BYTES else sent
            offset, data = log_segments.read(log.parts, wanted)
            if not data:
                continue
            # Every log gets its turn, so that a flood in one does not hide the others.
            self._turns.remove(name)
            self._turns.append(name)
            self._sent[name] = offset + len(data)
            gap = encode({"event": events.SKIPPED, "log": name, "size": offset - sent}) if offset > sent else b""
            return bytes(gap + encode({"event": events.LOG, "log": name, "offset": offset}, data))
        return b""


def listen(
    selector: selectors.BaseSelector,
    name: str,
    read: Callable[[socket.socket], None],
    is_welcome: Callable[[socket.socket], bool] = lambda _: True,
) -> None:
    """Listen on a Unix socket in the working directory, and read every connection that is welcome."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(name)
    listener.listen(128)
    listener.setblocking(False)

    def on_connection(_: Any) -> None:
        connection = _accepted(listener)
        if connection and is_welcome(connection):
            selector.register(connection, selectors.EVENT_READ, read)

    selector.register(listener, selectors.EVENT_READ, on_connection)


# A reserved descriptor, closed for a moment when no other is left.
_spare = [os.open(os.devnull, os.O_RDONLY)]


def _accepted(listener: socket.socket) -> Optional[socket.socket]:
    """Accept a connection, or return None; without a free descriptor, close it, or it would be offered forever."""
    try:
        return listener.accept()[0]
    except OSError as error:
        if error.errno not in (errno.EMFILE, errno.ENFILE):
            return None  # It has disconnected again.
    while _spare:
        os.close(_spare.pop())
    with contextlib.suppress(OSError):
        listener.accept()[0].close()
        _spare.append(os.open(os.devnull, os.O_RDONLY))
    return None

# SPDX-License-Identifier: Apache-2.0
"""
The bytes between the controller and one agent, from the start of its program to its exit code.

A node may send anything, and any amount. Everything kept here has a bound. A node that exceeds it is at fault, and only
its channel is closed. Private to the collection.
"""

from __future__ import annotations

import os
import re
import select
from typing import Callable, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common import wire
from ansible_collections.madctl.multinode.plugins.module_utils._common.event_loop import Loop
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.streams import Refused
from ansible_collections.madctl.multinode.plugins.module_utils._ways.way import Connection

PIECE = 1 << 18
# Bounds what login scripts print before our program speaks.
BEFORE_BYTES = 1 << 20
# Bounds what may be queued for a node that does not read.
WAITING_BYTES = 1 << 26
SHOWN = 400  # characters of an error text in a sentence
_WORDS_BYTES = 1 << 12
_VERSION = re.compile(rb"[0-9a-f]{4,16}")
# After its output has ended, the program that carried it will also end soon.
_END_SECONDS, _LOOK_SECONDS = 2.0, 0.01


class Channel:
    """A connection whose agent speaks first: a mark, and the version of its Python."""

    def __init__(
        self,
        loop: Loop,
        connection: Connection,
        mark: str,
        spoken: Callable[[str], None],
        hear: Callable[[bytes], None],
        ended: Callable[[str, Optional[int]], None],
    ) -> None:
        """
        Begin to read.

        Args:
            spoken: Gets the version of the agent's Python, once.
            hear: Gets all bytes after that; an exception that it raises ends the channel.
            ended: Gets why it ended, and the exit code of what carried it.
        """
        self._loop, self._connection, self._mark = loop, connection, b"\n" + mark.encode() + b" "
        self._spoken, self._hear, self._on_end = spoken, hear, ended
        self._before: Optional[bytearray] = bytearray(b"\n")
        self._waiting = bytearray()
        self._words = b""
        self.is_ending = self.is_over = False
        self.sent = self.received = 0
        loop.watch(connection.link, self._read, is_node=True)
        if connection.words is not None:
            loop.watch(connection.words, self._read_words)

    def has_unread(self) -> bool:
        """Return whether bytes have arrived that were not read yet."""
        poll = select.poll()
        poll.register(self._connection.link, select.POLLIN)
        return bool(poll.poll(0))

    # -- sending --------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send bytes as soon as the node takes them."""
        if not self.is_ending and not self.is_over:
            self._waiting += data
            self._flush()
            if len(self._waiting) > WAITING_BYTES:
                # Not immediately: the caller may be in a loop over all nodes.
                self._waiting.clear()
                self._loop.after(0.0, lambda: self.close("it does not read what it is sent"))

    def _flush(self) -> None:
        link = self._connection.link
        try:
            while self._waiting:
                count = link.send(memoryview(self._waiting)[:PIECE])
                self.sent += count
                del self._waiting[:count]
        except BlockingIOError:
            pass
        except OSError:
            self._waiting.clear()  # Reading will show why it no longer listens.
        self._loop.write(link, self._flush if self._waiting else None)

    # -- reading --------------------------------------------------------------------------------

    def _read(self) -> None:
        try:
            data = self._connection.link.recv(PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.received += len(data)
        try:
            if not data:
                self._end()
            elif self._before is not None:
                self._greet(self._before, data)
            else:
                self._hear(data)
        except (Refused, wire.WireError) as error:
            self.close(str(error))

    def _greet(self, before: bytearray, data: bytes) -> None:
        """Wait for the agent's first words, ignoring whatever a login script printed before."""
        before += data
        at = before.find(self._mark)
        end = before.find(b"\n", at + 1) if at >= 0 else -1
        if end < 0:
            if len(before) > BEFORE_BYTES:
                raise Refused("it printed more than %d bytes" % BEFORE_BYTES)
            return
        version = bytes(before[at + len(self._mark) : end])
        if not _VERSION.fullmatch(version):
            raise Refused("its Python reported no valid version: %r" % version[:40])
        self._before = None
        self._spoken(version.decode())
        rest = bytes(before[end + 1 :])
        if rest:
            self._hear(rest)

    def _read_words(self) -> None:
        assert self._connection.words is not None
        try:
            piece = os.read(self._connection.words, PIECE)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        self._words = (self._words + piece)[-_WORDS_BYTES:]
        if not piece:
            self._loop.unwatch(self._connection.words)

    # -- the end --------------------------------------------------------------------------------

    def _end(self) -> None:
        """Wait for the exit code of what carried it, which arrives a moment later."""
        self.is_ending = True
        self._loop.unwatch(self._connection.link)
        self._await_code(_END_SECONDS)

    def _await_code(self, seconds: float) -> None:
        if self.is_over:
            return
        code = self._connection.code()
        if code is None and self._connection.words is not None and seconds > 0:
            self._loop.after(_LOOK_SECONDS, lambda: self._await_code(seconds - _LOOK_SECONDS))
            return
        if self._connection.words is not None:
            self._read_words()
        # All of it, because the cause may be followed by twenty lines of advice.
        said = self._words if self._before is None else bytes(self._before[-SHOWN:]) + b"\n" + self._words
        self.close(said.decode(errors="replace").strip(), code)

    def close(self, why: str = "madctl gave up on it", code: Optional[int] = None) -> None:
        """End the agent and everything that it does, as if what carried it had ended with a code."""
        if self.is_over:
            return
        self.is_over = True
        self._loop.unwatch(self._connection.link)
        if self._connection.words is not None:
            self._loop.unwatch(self._connection.words)
        self._connection.close()
        self._on_end(why, code)

# SPDX-License-Identifier: Apache-2.0
"""
Hear from every rank of this node when it joined and how it ended, and collect what it prints.

A rank's own ``_rank.py`` reports on ``ranks.sock``. Delivered beside the supervisor; private to the
collection.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from typing import Any, Callable, Dict, List, Optional, Set

import _processes  # type: ignore[import-not-found]
from _feed import Feed, listen  # type: ignore[import-not-found]

MESSAGE_BYTES = 1 << 20


class Ranks:
    """The ranks of one node."""

    def __init__(self, selector: selectors.BaseSelector, feed: Feed, is_stopping: Callable[[], bool]) -> None:
        """
        Listen on ``ranks.sock`` in the working directory.

        Args:
            is_stopping: Tells whether ranks that end now were told to.
        """
        self._selector, self._feed, self._is_stopping = selector, feed, is_stopping
        self.joined: Dict[int, Dict[str, Any]] = {}
        self.exits: List[Dict[str, Any]] = []
        self.on_failure: Callable[[], None] = lambda: None
        self.on_joined: Callable[[], None] = lambda: None
        self.oom_kills = 0  # as the job started
        self._unread: Dict[socket.socket, bytes] = {}
        selector.register(listen("ranks.sock"), selectors.EVENT_READ, self._accept)

    def _accept(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        self._selector.register(connection, selectors.EVENT_READ, self._read)

    def _read(self, connection: socket.socket) -> None:
        try:
            data, ancillary, _, _ = connection.recvmsg(1 << 16, socket.CMSG_SPACE(8))
        except OSError:
            data, ancillary = b"", []
        descriptors = [int.from_bytes(raw[i : i + 4], sys.byteorder) for _, _, raw in ancillary for i in (0, 4)]
        *lines, rest = (self._unread.pop(connection, b"") + data).split(b"\n")
        if not data or len(rest) > MESSAGE_BYTES:
            self._selector.unregister(connection)
            connection.close()
            return
        self._unread[connection] = rest
        for line in lines:
            self._hear(connection, json.loads(line), descriptors)

    def _hear(self, connection: socket.socket, message: Dict[str, Any], descriptors: List[int]) -> None:
        if message["event"] == "models":
            self._feed.emit(time=time.time(), stopping=self._is_stopping(), **message)
            return
        if message["event"] == "rank_exit":
            rank = next((rank for rank, entry in self.joined.items() if entry["connection"] is connection), None)
            oom = message["signal"] == signal.SIGKILL and _processes.oom_kills() > self.oom_kills
            ended = dict(message, rank=rank, stopping=self._is_stopping(), oom=oom)
            self.exits.append(ended)
            self._feed.emit(**ended)
            if message["exit_code"] or message["signal"]:
                self.on_failure()
            return
        for stream, descriptor in zip(("out", "err"), descriptors):
            self._feed.collect("rank-%s.%s" % (message["rank"], stream), descriptor)
        self.joined[message["rank"]] = dict(message, connection=connection)
        self._feed.emit(**message)
        self.on_joined()

    def dump(self, py_spy: Optional[str]) -> Set[int]:
        """Have every rank's stack written into a log of its own, and give the processes that do."""
        dumps = set()
        for rank, entry in self.joined.items():
            try:
                argv = [str(py_spy), "dump", "--pid", str(entry["pid"])]
                dump = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
            except OSError:
                self._feed.emit(event="no_dump")
                return set()
            assert dump.stdout is not None
            self._feed.collect("rank-%s.stack" % rank, os.dup(dump.stdout.fileno()))
            dump.stdout.close()
            dumps.add(dump.pid)
        return dumps

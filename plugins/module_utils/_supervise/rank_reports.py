# SPDX-License-Identifier: Apache-2.0
"""
Receive the reports of this node's ranks on when they joined and how they ended, and collect their output.

Each rank's ``rank_wrapper.py`` reports on ``ranks.sock``. Delivered beside the supervisor; private to the collection.
"""

from __future__ import annotations

import contextlib
import os
import resource
import selectors
import signal
import socket
import subprocess
import sys
import time
from array import array
from typing import Any, Callable, Dict, List, Optional, Set

from ansible_collections.madctl.multinode.plugins.module_utils._common import events, run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._common.schema import fields
from ansible_collections.madctl.multinode.plugins.module_utils._common.wire import parse
from ansible_collections.madctl.multinode.plugins.module_utils._node import processes
from ansible_collections.madctl.multinode.plugins.module_utils._supervise.control_channel import Feed, listen

MESSAGE_BYTES = 1 << 20
ERRORS = 16
TAKEN, KEPT = b"+", b"-"  # the answer to a rank that joins, as rank_wrapper.py reads it
_JOINING = (events.JOINED, events.EXEC_FAILED)


class Ranks:
    """The ranks of one node."""

    def __init__(self, selector: selectors.BaseSelector, feed: Feed, is_stopping: Callable[[], bool]) -> None:
        """
        Listen on ``ranks.sock`` in the working directory.

        Args:
            is_stopping: Returns whether ranks that end now were told to end.
        """
        self._selector, self._feed, self._is_stopping = selector, feed, is_stopping
        self.joined: Dict[int, Dict[str, Any]] = {}
        self.exits: List[Dict[str, Any]] = []
        self.on_failure: Callable[[], None] = lambda: None
        self.on_joined: Callable[[], None] = lambda: None
        self.oom_kills = 0  # The limit with which the job started.
        # The other descriptors are for sockets of more ranks, and for the search for what is left.
        self._most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] * 4 // 5
        self._dumps: Set[int] = set()
        self._unread: Dict[socket.socket, bytes] = {}
        listen(selector, run_directory.RANKS_SOCKET, self._read)

    def _read(self, connection: socket.socket) -> None:
        try:
            data, ancillary, _, _ = connection.recvmsg(1 << 16, socket.CMSG_SPACE(8))
        except OSError:
            data, ancillary = b"", []
        # If descriptors are scarce, fewer arrive than were sent.
        descriptors = [number for _, _, raw in ancillary for number in array("i", raw[: len(raw) // 4 * 4])]
        *lines, rest = (self._unread.pop(connection, b"") + data).split(b"\n")
        if not data or len(rest) > MESSAGE_BYTES:
            self._selector.unregister(connection)
            connection.close()
        else:
            self._unread[connection] = rest
            for message in filter(None, map(_message, lines)):
                self._hear(connection, message, descriptors)
                descriptors = [] if message["event"] in _JOINING else descriptors
        for descriptor in descriptors:
            os.close(descriptor)

    def _hear(self, connection: socket.socket, message: Dict[str, Any], descriptors: List[int]) -> None:
        if message["event"] == events.MODELS:
            self._feed.emit(**dict(message, time=time.time(), stopping=self._is_stopping()))
            return
        if message["event"] == events.RANK_EXIT:
            rank = next((rank for rank, entry in self.joined.items() if entry["connection"] is connection), None)
            oom = message["signal"] == signal.SIGKILL and processes.oom_kills() > self.oom_kills
            ended = dict(message, rank=rank, stopping=self._is_stopping(), oom=oom)
            # The record is one frame, whose size is limited; the first failures matter.
            self.exits.append(ended if len(self.exits) < ERRORS else dict(ended, error=None))
            self._feed.emit(**ended)
            if message["exit_code"] or message["signal"]:
                self.on_failure()
            return
        message = dict(message, pid=_process(connection, message["pid"]))
        self._collect(connection, message["rank"], descriptors)
        self.joined[message["rank"]] = dict(message, connection=connection)
        self._feed.emit(**dict(message, time=time.time()))
        self.on_joined()

    def _collect(self, connection: socket.socket, rank: Any, descriptors: List[int]) -> None:
        """Take over a rank's output and confirm that; if descriptors are scarce, the rank keeps it."""
        taken = len(descriptors) == 2 and max(descriptors) < self._most
        for stream, descriptor in zip(("out", "err"), descriptors):
            try:
                if taken:
                    self._feed.collect(run_directory.log_name(rank, stream), descriptor)
                    continue
            except OSError:
                taken = False  # It is something that cannot be read.
            os.close(descriptor)
        if not taken:
            self._feed.emit(event=events.FILES_SHORT, rank=rank)
        with contextlib.suppress(OSError):  # It has already ended, or does not read, so it is not one of our ranks.
            connection.send(TAKEN if taken else KEPT, socket.MSG_DONTWAIT)

    def dump(self, py_spy: Optional[str]) -> bool:
        """Have every rank's stack written to its own log; return whether that has begun."""
        for rank, entry in self.joined.items():
            try:
                argv = [str(py_spy), "dump", "--pid", str(entry["pid"])]
                dump = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
            except OSError:
                self._feed.emit(event=events.NO_DUMP)
                return False
            assert dump.stdout is not None
            self._feed.collect(run_directory.log_name(rank, "stack"), os.dup(dump.stdout.fileno()))
            dump.stdout.close()
            self._dumps.add(dump.pid)
        return bool(self._dumps)

    def dumped(self, pid: int) -> bool:
        """Return whether a process that ended was the last one that wrote a stack."""
        is_last = self._dumps == {pid}
        self._dumps.discard(pid)
        return is_last


def _process(connection: socket.socket, told: int) -> int:
    """Return the process id of a rank's program on this node: in a container the program knows another one."""
    peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    pid = int.from_bytes(peer[:4], sys.byteorder)
    own = processes.children(pid) if pid else set()
    return told if told in own or not own else min(own)


def _message(line: bytes) -> Optional[Dict[str, Any]]:
    """Parse a message of a rank; None for anything else, because any process of the job can connect."""
    try:
        message: Dict[str, Any] = parse(line)
        required, optional = events.SAID_BY_RANKS[str(message.get("event"))]
    except (ValueError, KeyError):
        return None
    if not fields(required, optional)(message):
        return None
    return {key: message[key] for key in ("event", *required, *optional) if key in message}

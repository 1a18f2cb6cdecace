# SPDX-License-Identifier: Apache-2.0
"""
Carry the start of MPI's daemons from mpirun, on the first node, to the other nodes' supervisors.

mpirun calls ``mpi_agent.py`` in place of ssh. The agent asks the first node's supervisor, the follower carries the
request to the target node, and that node's supervisor starts the daemon. Both ends know a key of this run, so the
follower cannot forge a request. Delivered beside the supervisor; private to the collection.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import sys
import time
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable, List, Optional, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import events, run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._common.schema import text
from ansible_collections.madctl.multinode.plugins.module_utils._common.wire import parse
from ansible_collections.madctl.multinode.plugins.module_utils._node import processes, procfs
from ansible_collections.madctl.multinode.plugins.module_utils._supervise.control_channel import listen

if TYPE_CHECKING:
    from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import MpiSpec

REQUEST_BYTES = 1 << 18
COMMAND = text(REQUEST_BYTES)
# The programs that an MPI may start, with a line for a shell.
DAEMONS = ("orted", "prted", "hydra_pmi_proxy")


def seal(key: str, run_id: str, address: str, serial: int, command: str) -> str:
    """Return the signature of a request, which only this run's first supervisor can make."""
    import hashlib  # Slow to import, and not needed without MPI.
    import hmac

    text = json.dumps([run_id, address, serial, command]).encode()
    return hmac.new(bytes.fromhex(key), text, hashlib.sha256).hexdigest()


class Relay:
    """One node's end: the first node requests daemons, every other node starts its own."""

    def __init__(self, spec: MpiSpec, run_id: str, emit: Callable[..., None], is_followed: Callable[[], bool]) -> None:
        """
        Prepare one end.

        Args:
            spec: ``key``, hex; ``address`` of this node; ``places``, the address of every node by name; ``leads``,
                whether mpirun runs on it; ``ranks``, how many must join on it, None if unknown; ``many``,
                whether mpirun may be called more than once; ``hands``, whether daemons are handed to the job's own
                scripts, which wait for them in containers; ``seconds``, the time limit for daemons.
        """
        self.spec, self._run_id = spec, run_id
        self.leads, self.ranks, self.many = spec["leads"], spec["ranks"], spec["many"]
        self.hands = spec["hands"]
        # Until when ranks must join, and what delayed their daemon: an address, or that it was never requested.
        self.join_by: Optional[float] = None
        self.held_up: Optional[str] = None
        self._serial = 0
        # The agents of daemons that may still run, by connection; the daemons on this node that have not ended.
        self._agents: Dict[socket.socket, int] = {}
        self._started: List[int] = []
        self._unread: Dict[socket.socket, bytes] = {}
        self.emit, self.is_followed = emit, is_followed
        # The porter, which hands daemons to scripts, and what was not sent to it yet.
        self._porter: Optional[socket.socket] = None
        self._undelivered: List[Dict[str, Any]] = []

    def serve(self, selector: selectors.BaseSelector) -> None:
        """Listen for agents on the first node, and for the porter, which hands daemons to scripts, on the others."""
        self._selector = selector
        listen(selector, run_directory.RELAY_SOCKET, self._read)

    def _read(self, connection: socket.socket) -> None:
        """Answer one request, which is one line."""
        try:
            piece = connection.recv(REQUEST_BYTES)
            data = self._unread.pop(connection, b"") + piece
            if piece and not data.endswith(b"\n") and len(data) < REQUEST_BYTES:
                self._unread[connection] = data
                return
            if connection is self._porter:
                self._hear_porter(piece, data)
                return
            if self.hands and not self.leads:
                self._welcome(connection, data)
                return
            if connection not in self._agents:
                address, refused = self._ask(connection, data)
                connection.sendall(json.dumps({"address": address, "refused": refused}).encode())
                if not refused:
                    self._agents[connection] = self._serial
                    return  # Closing it tells the agent that the daemon has ended.
        except OSError:
            pass  # The agent has ended, which mpirun notices.
        self._close(connection)

    def _close(self, connection: socket.socket) -> None:
        self._agents.pop(connection, None)
        with contextlib.suppress(KeyError):
            self._selector.unregister(connection)
        connection.close()

    def _ask(self, connection: socket.socket, data: bytes) -> Tuple[str, str]:
        """Pass a request on; return the address of its node, and why it was refused, empty if it was not."""
        try:
            request = parse(data)
            given, address, command = str(request["key"]), str(request["host"]), str(request["command"])
        except (ValueError, KeyError, TypeError):
            given, address, command = "", "", ""
        if not self._is_known(connection, given):
            return address, "the key of this run is missing or wrong"
        if not is_daemon(command) or not COMMAND(command):
            self.emit(event=events.RELAY_REFUSED, message="not a daemon of MPI: %s" % ascii(command[-200:]))
            return address, "that is not a daemon of MPI"
        address = self.spec["places"].get(address, address)
        if address not in self.spec["places"].values():
            hosts = run_directory.HOST_FILE_PATH
            return address, "it is not a node of this run; the file that %s names lists them" % hosts
        if not self.is_followed():
            return address, "the run has no follower, and only that could start its daemon"
        self._serial += 1
        sealed = seal(self.spec["key"], self._run_id, address, self._serial, command)
        self.emit(event=events.DAEMON_WANTED, address=address, serial=self._serial, command=command, seal=sealed)
        return address, ""

    def _is_known(self, connection: socket.socket, given: str) -> bool:
        """Return whether the other end is one of this user's processes that knows the key."""
        peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        pid, user = (int.from_bytes(peer[at : at + 4], sys.byteorder) for at in (0, 4))
        if user == os.geteuid() and same(given, self.spec["key"]):
            return True
        self.emit(event=events.RELAY_REFUSED, message="process %s does not know the key" % processes.describe(pid))
        return False

    def daemon_processes(self, has_runner: bool) -> Iterable[int]:
        """Return the processes of daemons on this node; those in containers do not descend from us."""
        if self.hands:
            return processes.find(self._run_id)[1]
        return processes.descendants(os.getpid()) if has_runner else ()

    # -- daemons for scripts in containers ------------------------------------------------------

    def _welcome(self, connection: socket.socket, data: bytes) -> None:
        """Accept the one connection of the porter, which hands daemons to scripts, and send what it has missed."""
        try:
            given = str(parse(data)["key"])
        except (ValueError, KeyError, TypeError):
            given = ""
        if self._porter is not None or not self._is_known(connection, given):
            self._selector.unregister(connection)
            connection.close()
            return
        self._porter, waiting = connection, self._undelivered
        self._undelivered = []
        for message in waiting:
            self._deliver(message)

    def _hear_porter(self, piece: bytes, data: bytes) -> None:
        """Record that a script has begun with its daemon, or that the porter has ended."""
        if not piece:
            assert self._porter is not None
            self._selector.unregister(self._porter)
            self._porter.close()
            return
        for line in data.splitlines():
            word, _, serial = line.partition(b" ")
            if word == b"ended":
                self.emit(event=events.DAEMON_ENDED, time=time.time(), serial=int(serial))
                continue
            self.emit(event=events.DAEMON_BEGUN, time=time.time())
            self.allow(time.monotonic(), begins=False)

    def hand(self, command: str) -> None:
        """Hand the daemon of the last order to the script that waits for it, or will."""
        self._deliver({"command": command, "serial": self._serial})

    def release(self, status: int) -> None:
        """Let all scripts that wait now, or later, continue as if their daemon had ended with a status."""
        self._deliver({"over": status})

    def _deliver(self, message: Dict[str, Any]) -> None:
        if self._porter is None:
            self._undelivered.append(message)
            return
        try:
            self._porter.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            pass  # It has ended, and its scripts can do nothing more.

    # -- ends of daemons ------------------------------------------------------------------------

    def all_ended(self) -> None:
        """Report which daemons have ended on this node, once none is left."""
        for serial in self._started:
            self.emit(event=events.DAEMON_ENDED, time=time.time(), serial=serial)
        self._started.clear()

    def _release_agent(self, message: Dict[str, Any]) -> None:
        """
        Make the agent of a daemon that has ended stop waiting for its connection.

        On a busy node, a connection may be over before the agent has looked for it.
        """
        for connection in [one for one, serial in self._agents.items() if serial == message["ended"]]:
            self._close(connection)

    def opened(self, message: Dict[str, Any]) -> Optional[str]:
        """Check an order to start a daemon and return its command; None if mpirun did not request it."""
        if self.leads and "ended" in message:
            self._release_agent(message)
            return None
        try:
            address, serial, command = str(message["address"]), int(message["serial"]), str(message["command"])
            expected = seal(self.spec["key"], self._run_id, address, serial, command)
            good = same(str(message["seal"]), expected) and address == self.spec["address"] and serial > self._serial
        except (KeyError, TypeError, ValueError, OverflowError):
            good, serial, command = False, 0, ""
        if self.leads or not good or not is_daemon(command):
            self.emit(event=events.RELAY_REFUSED, message="an order that did not come from this run's mpirun")
            return None
        self._serial = serial
        if not self.hands:
            self._started.append(serial)
        return command

    def allow(self, now: float, begins: bool) -> None:
        """Set the deadline for ranks to join: at the start or, if their number is unknown, with each daemon."""
        if begins == (self.ranks is not None):
            self.join_by, self.held_up = now + self.spec["seconds"], None

    def joined(self, count: int) -> None:
        """Stop waiting when all ranks have joined."""
        if count == self.ranks:
            self.join_by = None

    def look(self, count: int, pids: Iterable[int]) -> bool:
        """
        Check whether ranks are missing on this node, and what delays their daemon, which has these processes.

        Args:
            count: How many have joined. If it is unknown how many must, they are missing if the daemon hangs.
        """
        missing = self.ranks is None or count < self.ranks
        if missing and not self.leads and self.held_up is None:
            unasked = events.UNASKED if self.ranks is not None else ""
            self.held_up = unanswered(pids) if pids else unasked
        return missing if self.ranks is not None else bool(self.held_up)


def opened(supervisor: Any, spec: MpiSpec) -> Relay:
    """Return the relay of a supervisor, which receives orders from now on."""
    run_id, feed = supervisor.spec["run_id"], supervisor.feed
    relay = Relay(spec, run_id, feed.emit, lambda: feed.follower is not None)
    if relay.leads or relay.hands:
        relay.serve(supervisor.selector)
    else:
        supervisor.runners.on_all_ended = relay.all_ended
    return relay


def is_daemon(command: str) -> bool:
    """Return whether a shell line starts an MPI daemon, as far as its words show."""
    words = command.replace(";", " ").replace('"', " ").split()
    return any(os.path.basename(word) in DAEMONS for word in words)


def unanswered(pids: Iterable[int]) -> str:
    """Return the address that one of these processes tries in vain to reach; empty without one."""
    sockets = {inode for pid in pids for inode in procfs.sockets(pid)}
    tried = (entry for entry in procfs.connections() if entry.state == procfs.SYN_SENT and entry.inode in sockets)
    return next((_address(entry.other) for entry in tried), "")


def _address(text: str) -> str:
    """Parse an address of ``/proc/net/tcp``, whose bytes are in the processor's byte order."""
    address, _, port = text.partition(":")
    return "%s:%d" % (socket.inet_ntoa(int(address, 16).to_bytes(4, sys.byteorder)), int(port, 16))


def same(left: str, right: str) -> bool:
    """Return whether two texts are equal, in constant time."""
    import hmac

    return hmac.compare_digest(left.encode("utf-8", "backslashreplace"), right.encode())

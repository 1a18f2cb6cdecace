# SPDX-License-Identifier: Apache-2.0
"""
Carry the start of MPI's daemons from mpirun, on the first node, to the other nodes' supervisors.

mpirun calls ``_agent.py`` where it would call ssh. The agent asks the first node's supervisor, whoever
follows the run carries the request to the node that it is for, and that node's supervisor starts the
daemon. Both ends know a key of this run, which whoever carries the request has no use for. Delivered
beside the supervisor; private to the collection.
"""

from __future__ import annotations

import glob
import json
import os
import selectors
import socket
import struct
from typing import Any, Callable, Dict, Iterable, List, Optional

import _processes  # type: ignore[import-not-found]
from _feed import listen  # type: ignore[import-not-found]

SOCKET, KEY = "relay.sock", "relay.key"
REQUEST_BYTES = 1 << 18
# The programs that an MPI may ask for; what starts them is a line for a shell.
DAEMONS = ("orted", "prted", "hydra_pmi_proxy")
SYN_SENT = "02"


def seal(key: str, run_id: str, address: str, serial: int, command: str) -> str:
    """Sign a request, so that nobody but this run's first supervisor can have made it."""
    import hashlib  # Slow to import, and not needed without MPI.
    import hmac

    text = json.dumps([run_id, address, serial, command]).encode()
    return hmac.new(bytes.fromhex(key), text, hashlib.sha256).hexdigest()


class Relay:
    """One node's end: the first node asks for daemons, every other node is told to start its own."""

    def __init__(self, spec: Dict[str, Any], run_id: str) -> None:
        """
        Prepare one end.

        Args:
            spec: ``key``, hex; ``address`` of this node; ``leads``, whether mpirun runs here; ``ranks`` that are to
                join here, None where nobody knows; ``many``, whether mpirun may be called more than once.
        """
        self.spec, self._run_id = spec, run_id
        self.leads, self.ranks, self.many = bool(spec["leads"]), spec["ranks"], bool(spec["many"])
        self._serial = 0
        self._unread: Dict[socket.socket, bytes] = {}
        self.emit: Callable[..., None] = lambda **_: None
        self.is_followed: Callable[[], bool] = lambda: False

    def serve(self, selector: selectors.BaseSelector) -> None:
        """Listen for agents, on the first node."""
        self._selector = selector
        selector.register(listen(SOCKET), selectors.EVENT_READ, self._accept)

    def close(self) -> None:
        """Leave nothing that could be asked, or ask."""
        for name in (SOCKET, KEY):
            try:
                os.unlink(name)
            except FileNotFoundError:
                pass

    def _accept(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        self._selector.register(connection, selectors.EVENT_READ, self._read)

    def _read(self, connection: socket.socket) -> None:
        """Answer one request, a line."""
        try:
            piece = connection.recv(REQUEST_BYTES)
            data = self._unread.pop(connection, b"") + piece
            if piece and not data.endswith(b"\n") and len(data) < REQUEST_BYTES:
                self._unread[connection] = data
                return
            connection.sendall(self._ask(connection, data).encode())
        except OSError:
            pass  # The agent has gone; mpirun learns from its end.
        self._selector.unregister(connection)
        connection.close()

    def _ask(self, connection: socket.socket, data: bytes) -> str:
        """Pass a request on; the answer is empty, or why not."""
        peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        pid, user, _ = struct.unpack("3i", peer)
        try:
            request = json.loads(data)
            given, address, command = str(request["key"]), str(request["host"]), str(request["command"])
        except (ValueError, KeyError, TypeError):
            given, address, command = "", "", ""
        if user != os.geteuid() or not same(given, self.spec["key"]):
            self.emit(event="relay_refused", message="process %s knows no key" % _processes.describe(pid))
            return "this run's key was not given"
        if not is_daemon(command):
            self.emit(event="relay_refused", message="no daemon of MPI: %s" % command[-200:])
            return "that is no daemon of MPI"
        if not self.is_followed():
            return "nobody follows the run, so nobody can start %s's daemon" % address
        self._serial += 1
        sealed = seal(self.spec["key"], self._run_id, address, self._serial, command)
        self.emit(event="daemon_wanted", address=address, serial=self._serial, command=command, seal=sealed)
        return ""

    def opened(self, message: Dict[str, Any]) -> Optional[str]:
        """Check what this node is told to start, and give the command; None for what mpirun did not ask for."""
        try:
            address, serial, command = str(message["address"]), int(message["serial"]), str(message["command"])
            expected = seal(self.spec["key"], self._run_id, address, serial, command)
            good = same(str(message["seal"]), expected) and address == self.spec["address"] and serial > self._serial
        except (KeyError, TypeError, ValueError):
            good, serial, command = False, 0, ""
        if self.leads or not good or not is_daemon(command):
            self.emit(event="relay_refused", message="an order that this run's mpirun did not give")
            return None
        self._serial = serial
        return command


def is_daemon(command: str) -> bool:
    """Tell whether a shell line starts a daemon of MPI, as far as its words say."""
    words = command.replace(";", " ").replace('"', " ").split()
    return any(os.path.basename(word) in DAEMONS for word in words)


def whereabouts(pids: Iterable[int]) -> str:
    """Say how far processes of a daemon have come on their way back to mpirun; empty when nothing holds them up."""
    sockets = {inode for pid in pids for inode in _sockets(pid)}
    states = {fields[3]: fields[2] for fields in _connections() if fields[9] in sockets}
    if SYN_SENT in states:
        return "gets no answer from %s" % _address(states[SYN_SENT])
    return ""


def _sockets(pid: int) -> List[str]:
    found = []
    for path in glob.glob("/proc/%d/fd/*" % pid):
        try:
            target = os.readlink(path)
        except OSError:
            continue
        if target.startswith("socket:["):
            found.append(target[8:-1])
    return found


def _connections() -> List[List[str]]:
    """Read the TCP sockets of this host: local, remote and state are fields 1 to 3, the inode is field 9."""
    with open("/proc/net/tcp", encoding="ascii") as stream:
        return [line.split() for line in stream.readlines()[1:]]


def _address(text: str) -> str:
    """Read an address of ``/proc/net/tcp``, whose bytes stand in the order of the processor."""
    address, _, port = text.partition(":")
    return "%s:%d" % (socket.inet_ntoa(struct.pack("=I", int(address, 16))), int(port, 16))


def same(left: str, right: str) -> bool:
    """Compare in constant time."""
    import hmac

    return hmac.compare_digest(left.encode(), right.encode())

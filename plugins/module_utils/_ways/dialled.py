# SPDX-License-Identifier: Apache-2.0
"""
The way to nodes that a scheduler has reached: it starts our program on each node, and the program dials in to this
process.

``Door`` listens, and requires every program to prove that it knows the run's key, as it proves that to the program. A
node's program keeps one connection waiting, and dials again as soon as that is used. The other end is ``dial_in``.
Private to the collection.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections import deque
from typing import Callable, Deque, Dict, List, Optional, Sequence, Set, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import addresses, sealed, wire
from ansible_collections.madctl.multinode.plugins.module_utils._common.event_loop import Loop
from ansible_collections.madctl.multinode.plugins.module_utils._ways import way
from ansible_collections.madctl.multinode.plugins.module_utils._ways.bridge import SILENCE_SECONDS, Bridge, keep_alive

_BACKLOG = 256
# Limits for peers that have not proven anything yet: strangers may hold no more than this, for no longer.
_STRANGERS, _HANDSHAKE_SECONDS = 256, 10.0
# Per node, so that a broken one does not fill this process; the oldest is closed.
_WAITING = 4

Start = Callable[[socket.socket, sealed.Keys], None]


class _Stranger:
    """A connection until its handshake is complete."""

    def __init__(self, door: Door, link: socket.socket) -> None:
        self._door, self.link, self._nonce, self._said = door, link, sealed.nonce(), b""
        link.setblocking(False)
        keep_alive(link)
        self.watch = door.loop.after(_HANDSHAKE_SECONDS, self.refuse)
        door.loop.watch(link, self._hear)
        try:
            link.send(sealed.greeting(self._nonce))
        except OSError:
            self.refuse()

    def _hear(self) -> None:
        try:
            data = self.link.recv(sealed.LINE_BYTES)
            self._said += data
            if not data or len(self._said) > sealed.LINE_BYTES:
                raise wire.WireError("no introduction")
            line, newline, rest = self._said.partition(b"\n")
            if newline:
                self._admit(sealed.introduced(self._door.key, self._nonce, line), rest)
        except BlockingIOError:
            pass
        except (OSError, wire.WireError):
            self.refuse()

    def _admit(self, who: sealed.Introduction, rest: bytes) -> None:
        if rest or not self._door.knows(who):
            raise wire.WireError("an unknown node")
        self.link.send(sealed.proof(self._door.key, self._nonce, who.nonce))
        self._leave()
        self._door.admit(who.name, self.link, sealed.keys(self._door.key, self._nonce, who.nonce))

    def refuse(self) -> None:
        """Close it."""
        self._leave()
        self.link.close()

    def _leave(self) -> None:
        self.watch.cancel()
        self._door.loop.unwatch(self.link)
        self._door.strangers.discard(self)


class Door:
    """The listener for the programs of all nodes; a context manager that closes it."""

    def __init__(self, loop: Loop, key: bytes, hosts: Sequence[str], address: str, ports: Sequence[int] = (0,)) -> None:
        """
        Listen.

        Args:
            hosts: The names of all nodes, in the order of their numbers.
            address: An address of this machine that all nodes reach.
            ports: The first of these that is free; 0 stands for any.

        Raises:
            OSError: If that is not possible, or no port is free.
        """
        self.loop, self.key, self._hosts = loop, key, list(hosts)
        self.strangers: Set[_Stranger] = set()
        self.arrived: Set[str] = set()
        self._waiting: Dict[str, Deque[Tuple[socket.socket, sealed.Keys]]] = {host: deque() for host in hosts}
        self._wanted: Dict[str, Deque[Start]] = {host: deque() for host in hosts}
        self._bridges: Set[Bridge] = set()
        self._listener = socket.socket(addresses.family(address), socket.SOCK_STREAM)
        self._listener.setblocking(False)
        # Connections of an earlier run may still linger on a port that is always the same.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if address == "::":
            self._listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        _bind(self._listener, address, ports)
        self._listener.listen(_BACKLOG)
        self.address: Tuple[str, int] = self._listener.getsockname()[:2]
        loop.watch(self._listener, self._accept)

    def __enter__(self) -> Door:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all programs of nodes, which then end what they started."""
        self.loop.unwatch(self._listener)
        self._listener.close()
        for bridge in list(self._bridges):
            bridge.close()
        for stranger in list(self.strangers):
            stranger.refuse()
        for waiting in self._waiting.values():
            for link, _keys in waiting:
                link.close()

    def missing(self) -> List[str]:
        """Return the nodes that have never dialled in."""
        return [host for host in self._hosts if host not in self.arrived]

    def knows(self, who: sealed.Introduction) -> bool:
        """Return whether a peer is one of our nodes."""
        return 0 <= who.node < len(self._hosts) and self._hosts[who.node] == who.name

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            link = self._listener.accept()[0]
            if len(self.strangers) < _STRANGERS:
                self.strangers.add(_Stranger(self, link))
            else:
                link.close()

    def admit(self, host: str, link: socket.socket, keys: sealed.Keys) -> None:
        """Take over a connection whose peer has proven its identity."""
        self.arrived.add(host)
        waiting = self._waiting[host]
        if self._wanted[host]:
            self._wanted[host].popleft()(link, keys)
            return
        waiting.append((link, keys))
        if len(waiting) > _WAITING:
            waiting.popleft()[0].close()

    def take(self, host: str, command: str) -> socket.socket:
        """Start a command on a node over its next connection, and return a socket that is its input and output."""
        ours, theirs = socket.socketpair()

        def start(link: socket.socket, keys: sealed.Keys) -> None:
            seals = sealed.Sealer(keys.listens)
            try:
                link.send(seals.seal(command.encode()))
            except OSError:
                link.close()
                theirs.close()
                return
            bridge = Bridge(self.loop, theirs, link, seals, sealed.Opener(keys.dials), lambda: ended(bridge))
            self._bridges.add(bridge)

        def ended(bridge: Bridge) -> None:
            self._bridges.discard(bridge)

        waiting = self._waiting[host]
        while waiting:
            link, keys = waiting.popleft()
            if not _has_ended(link):
                start(link, keys)
                return ours
            link.close()
        self._wanted[host].append(start)
        return ours


def _bind(listener: socket.socket, address: str, ports: Sequence[int]) -> None:
    for port in ports:
        try:
            listener.bind((address, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def _has_ended(link: socket.socket) -> bool:
    """Return whether a waiting connection has ended; its peer sends nothing before it is told to start."""
    try:
        link.recv(1)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


class Dialled(way.Way):
    """A node whose program dials in."""

    silence_seconds = SILENCE_SECONDS

    def __init__(self, host: str, python: str, door: Door) -> None:
        super().__init__(host, python)
        self._door = door

    def start(self, command: str, seconds: Optional[float] = None) -> way.Connection:
        """Start a command over the node's next connection."""
        del seconds
        return way.Connection(self._door.take(self.host, command))

    @staticmethod
    def hint(host: str) -> str:
        """Return how to check a host by hand."""
        return "ask the scheduler about %s" % host

    def is_of_node(self, code: Optional[int]) -> bool:
        """Return whether an exit code is from a program on the node; no exit codes arrive over this way."""
        del code
        return False

# SPDX-License-Identifier: Apache-2.0
"""
Prove on real sockets and real files what the plan assumes. Private to the collection.

The first node, the head, listens on its chosen address; every other node connects to it from its own
address. Every node reads the files of the others, and removes nothing before all nodes have read.
"""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import sys
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import addresses
from ansible_collections.madctl.multinode.plugins.module_utils._node import deadlines, mount_table, netlink, resolver

if TYPE_CHECKING:
    from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import Listening, Proof

CONNECT_SECONDS = 4.0
READ_SECONDS = 3.0

Tell = Callable[[Dict[str, Any]], None]


def prove(request: Proof, tell: Tell) -> Dict[str, Any]:
    """
    Take part in the proof round.

    Args:
        request: ``listen`` (on the head: ``address``, ``ports``, 0 for any, ``token``) or ``connect``
            (elsewhere: ``address``, ``ports``, ``source``, ``token``), either may be absent; ``read``, a list of
            ``path`` and ``names``; ``peers``, names to resolve; ``routes``: the ``devices`` by which packets from
            ``source`` should leave ``to`` all other nodes' addresses.
        tell: Gets ``{"listening": ports}`` on the head as soon as other nodes can connect.

    Returns:
        ``listen`` (error or None), ``connect`` (a list of ``port`` and ``error``), ``read``, ``peers``, and
        ``routes``: by any other device, or "" for no route, the addresses that are reached that way; None if the kernel
        does not answer.
    """
    listen = request.get("listen")
    error = _listen(listen, tell) if listen else None
    calls: Dict[str, deadlines.Call] = {}
    reads, connect = request.get("read", []), request.get("connect")
    for number, wanted in enumerate(reads):
        calls["read%d" % number] = (mount_table.read, (wanted["path"], wanted["names"], READ_SECONDS))
    if request.get("peers"):
        calls["peers"] = (resolver.loopback_names, (request["peers"],))
    ports = connect["ports"] if connect else []
    if connect:
        for port in ports:
            calls["connect%d" % port] = (_connect, ((connect["address"], port), connect["source"], connect["token"]))
    answers = deadlines.together(calls, CONNECT_SECONDS * 2 + 1)
    return {
        "listen": error,
        "connect": [{"port": port, "error": _error(answers["connect%d" % port])} for port in ports],
        "read": [answers["read%d" % number] for number in range(len(reads))],
        "peers": answers.get("peers", {}).get("value", {}),
        "routes": elsewhere(**request["routes"]) if request.get("routes") else {},
    }


def elsewhere(source: str, devices: List[str], to: List[str]) -> Optional[Dict[str, List[str]]]:
    """
    Find addresses that packets from ``source`` are not sent to by any of the devices.

    A connection from the right address does not prove which way packets take: the kernel follows its routes. The
    result is None if no route is known to be wrong, but not all routes are known.
    """
    found: Dict[str, List[str]] = {}
    known = netlink.devices_to(source, to)
    for address, ways in known.items():
        if not set(ways) & set(devices):
            found.setdefault(ways[0] if ways else "", []).append(address)
    return found or (None if set(to) - set(known) else {})


def _error(answer: Dict[str, Any]) -> Optional[str]:
    return answer["value"] if "value" in answer else str(answer.get("error", "ETIMEDOUT"))


def _listen(request: Listening, tell: Tell) -> Optional[str]:
    """Listen until standard input ends; send the token on every connection."""
    listeners: List[Any] = []
    connections: List[socket.socket] = []
    try:
        for port in request["ports"]:
            listener = socket.socket(addresses.family(request["address"]), socket.SOCK_STREAM)
            listeners.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((request["address"], port))
            listener.listen(256)
        tell({"listening": [listener.getsockname()[1] for listener in listeners]})
        standard_input = sys.stdin.fileno()
        while True:
            ready = select.select([standard_input, *listeners], [], [], request["seconds"])[0]
            if not ready or standard_input in ready:
                return None
            for listener in set(ready) - {standard_input}:
                # Closed last, after the other side has closed: so no port of ours lingers in TIME_WAIT.
                connections.append(listener.accept()[0])
                connections[-1].sendall(request["token"].encode())
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    finally:
        for either in listeners + connections:
            either.close()


def _connect(address: Tuple[str, int], source: str, token: str) -> Optional[str]:
    """Connect and compare tokens; the error is a name of errno, ``ETIMEDOUT`` for silence, or ``ELSEWHERE``."""
    try:
        with socket.socket(addresses.family(address[0]), socket.SOCK_STREAM) as connection:
            connection.settimeout(CONNECT_SECONDS)
            connection.bind((source, 0))
            connection.connect(address)
            # Another program may listen there; it does not know the token.
            with contextlib.suppress(OSError):
                if connection.recv(64) == token.encode():
                    return None
            return "ELSEWHERE"
    except socket.timeout:
        return "ETIMEDOUT"
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))

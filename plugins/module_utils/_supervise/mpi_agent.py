# SPDX-License-Identifier: Apache-2.0
"""
Stand in for ssh under mpirun: have a node's supervisor start MPI's daemon on that node.

Called as ``mpi_agent.py HOST WORDS…``; like ssh, it joins the words with spaces into a line for a shell. mpirun treats
its exit status as the result of the start. MPICH treats an agent that ends before its daemon has connected back as
failed, so the agent waits for that connection, or for the end of the daemon, which may come just as soon. Private to
the collection.
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import sys
import time
from typing import List, Optional

# The supervisor serves the agents of all nodes at once; this limit is for a supervisor that hangs.
ANSWER_SECONDS = 30.0
# The kernel does not notify of other processes' connections.
LOOK_SECONDS = 0.05
ESTABLISHED = "01"


def control_port(words: List[str]) -> Optional[int]:
    """Return the port that a daemon of MPICH connects back to, according to its command line."""
    for option, value in zip(words, words[1:]):
        if option == "--control-port":
            return int(value.rpartition(":")[2])
    return None


def wait_for(address: str, port: int, seconds: float, channel: socket.socket) -> None:
    """
    Wait, for a bounded time, until a node has connected to a port of this one, or the caller has ended.

    Args:
        channel: The connection to the supervisor, which closes it when the daemon has ended.
    """
    peer = "%08X" % struct.unpack("=I", socket.inet_aton(address))[0]
    parent, deadline = os.getppid(), time.monotonic() + seconds
    while os.getppid() == parent and time.monotonic() < deadline:
        with open("/proc/net/tcp", encoding="ascii") as stream:
            for line in stream:
                _, own, other, state = line.split()[:4]
                if state == ESTABLISHED and own.endswith(":%04X" % port) and other.startswith(peer):
                    return
        if select.select([channel], [], [], LOOK_SECONDS)[0]:
            return


def main() -> None:
    """Request the daemon, and fail as ssh would if it is not started."""
    host, words = sys.argv[1], sys.argv[2:]
    try:
        os.chdir(os.environ["MADCTL_RUN_DIR"])  # A socket's address must be short.
        with open("relay.key", encoding="ascii") as stream:
            key = stream.read()
        with open("ranks.json", encoding="utf-8") as stream:
            patience = float(json.load(stream)["start_timeout"])
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        channel.settimeout(ANSWER_SECONDS)
        channel.connect("relay.sock")
        channel.sendall(json.dumps({"key": key, "host": host, "command": " ".join(words)}).encode() + b"\n")
        answer = json.loads(channel.recv(1 << 16))
    except (OSError, KeyError, ValueError) as error:
        answer = {"refused": "this run does not start daemons: %s" % error}
    if answer["refused"]:
        sys.stderr.write("madctl: %s: %s\n" % (host, answer["refused"]))
        sys.exit(255)
    port = control_port(words)
    if port is not None:
        wait_for(answer["address"], port, patience, channel)


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""
Stand where mpirun expects ssh: have a node's supervisor start MPI's daemon there.

Called as ``_agent.py HOST WORDS…``; like ssh, it joins the words with spaces to a line for a shell. Its
exit status is what mpirun takes for the start of that daemon. Private to the collection.
"""

from __future__ import annotations

import json
import os
import socket
import sys

# Beside the supervisor there is room for agents of all nodes at once; this is for one that stands still.
ANSWER_SECONDS = 30.0


def main() -> None:
    """Ask, and fail as ssh would where nobody starts it."""
    host, words = sys.argv[1], sys.argv[2:]
    try:
        os.chdir(os.environ["MADCTL_RUN_DIR"])  # A socket's address is short.
        with open("relay.key", encoding="ascii") as stream:
            key = stream.read()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
            channel.settimeout(ANSWER_SECONDS)
            channel.connect("relay.sock")
            channel.sendall(json.dumps({"key": key, "host": host, "command": " ".join(words)}).encode() + b"\n")
            refused = channel.recv(1 << 16).decode()
    except (OSError, KeyError) as error:
        refused = "this run takes no daemons: %s" % error
    if refused:
        sys.stderr.write("madctl: %s: %s\n" % (host, refused))
        sys.exit(255)


if __name__ == "__main__":
    main()

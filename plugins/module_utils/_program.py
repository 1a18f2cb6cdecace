# SPDX-License-Identifier: Apache-2.0
"""
Find and run a program on a node. Private to the collection.

The libraries for it take a fifth of a probe's whole time to import, on every node; two functions of a
few lines do not. Whatever needs more than this uses the libraries.
"""

from __future__ import annotations

import os
from typing import Dict, List, Optional


def which(name: str, path: Optional[str] = None) -> Optional[str]:
    """Find a program on a search path, by default that of the environment."""
    for directory in (path or os.environ.get("PATH", os.defpath)).split(os.pathsep):
        candidate = os.path.join(directory or ".", name)
        if os.path.isfile(candidate) and os.access(candidate, os.X_OK):
            return candidate
    return None


def output(argv: List[str], environment: Optional[Dict[str, str]] = None) -> bytes:
    """
    Run a program to its end and give what it prints; its errors go nowhere.

    Raises:
        OSError: If it cannot be started, or ends with another exit code than 0.
    """
    reader, writer = os.pipe()
    null = os.open(os.devnull, os.O_RDWR)
    actions = [(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, writer, 1), (os.POSIX_SPAWN_DUP2, null, 2)]
    try:
        pid = os.posix_spawn(argv[0], argv, os.environ if environment is None else environment, file_actions=actions)
    finally:
        os.close(writer)
        os.close(null)
    with open(reader, "rb") as stream:
        text = stream.read()
    status = os.waitpid(pid, 0)[1]
    if status:
        raise OSError("%s ended with status %d" % (argv[0], status))
    return text

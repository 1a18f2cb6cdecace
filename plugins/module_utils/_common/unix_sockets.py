# SPDX-License-Identifier: Apache-2.0
"""Unix sockets, however long their paths are. Private to the collection."""

from __future__ import annotations

import contextlib
import os
import socket


def attach(channel: socket.socket, path: str) -> None:
    """
    Connect a socket to a path, which may be longer than the kernel accepts as a name.

    Raises:
        OSError: If that fails.
    """
    directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        channel.connect("/proc/self/fd/%d/%s" % (directory, os.path.basename(path)))
    finally:
        os.close(directory)


def connect(path: str) -> socket.socket:
    """Connect to a socket; if that fails, reading from the result fails, and its reader reports the error by name."""
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with contextlib.suppress(OSError):
        attach(channel, path)
    return channel

# SPDX-License-Identifier: Apache-2.0
"""Unix sockets, however long their paths are."""

from __future__ import annotations

import os
import socket


def connect(path: str) -> socket.socket:
    """Connect to a socket; where that fails, reading from the result does, which its reader reports by name."""
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        channel.connect("/proc/self/fd/%d/%s" % (directory, os.path.basename(path)))
    except OSError:
        pass
    finally:
        os.close(directory)
    return channel

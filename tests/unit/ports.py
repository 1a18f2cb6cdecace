# SPDX-License-Identifier: Apache-2.0
"""Ports of this machine that no other program takes meanwhile."""

import contextlib
import random
import socket

# Below those that the kernel gives to programs that name none.
_UNASKED = range(20000, 30000)


def free():
    """Return a port on which a test may listen later."""
    for port in random.sample(_UNASKED, len(_UNASKED)):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no port is free")


@contextlib.contextmanager
def unheard():
    """Hold a port on which nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]

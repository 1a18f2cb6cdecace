# SPDX-License-Identifier: Apache-2.0
"""Programs that a way started, and what they answer."""

import os
import socket


def talk(connection, data, words=None):
    """
    Give a program its whole input; give its output and its exit code, and end the connection.

    Args:
        words: What it has to complain of, where that is asked.
    """
    connection.link.settimeout(20)
    connection.link.sendall(data)
    connection.link.shutdown(socket.SHUT_WR)
    said = b"".join(iter(lambda: connection.link.recv(1 << 16), b""))
    connection._process.wait(20)
    code = connection.code()
    if words is not None:
        assert os.read(connection.words, 1 << 16) == words
    connection.close()
    return said, code

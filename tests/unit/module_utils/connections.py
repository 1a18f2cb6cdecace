# SPDX-License-Identifier: Apache-2.0
"""Programs that a way started, and what they answer."""

import os
import socket


def talk(connection, data, words=None):
    """
    Send a program its whole input, end the connection, and return its output and its exit code.

    Args:
        words: The expected error messages, if they are checked.
    """
    connection.link.settimeout(60)
    if data:  # A program that takes nothing may have ended.
        connection.link.sendall(data)
    connection.link.shutdown(socket.SHUT_WR)
    said = b"".join(iter(lambda: connection.link.recv(1 << 16), b""))
    connection._process.wait(60)
    code = connection.code()
    if words is not None:
        assert os.read(connection.words, 1 << 16) == words
    connection.close()
    return said, code

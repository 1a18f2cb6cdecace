# SPDX-License-Identifier: Apache-2.0
"""Orders to whoever follows a run, who may come later than they do."""

import socket

from madctl.playbook.engine import Engine


def test_an_order_that_comes_too_early_waits_for_whoever_follows():
    with Engine(print, print) as engine, engine._listen() as listener, socket.socket(socket.AF_UNIX) as channel:
        channel.settimeout(5)
        sent = engine.stop(b"s")
        channel.connect(listener.getsockname())

        assert (sent, channel.recv(9)) == (False, b"s")
        assert engine.stop(b"k")
        assert channel.recv(9) == b"k"

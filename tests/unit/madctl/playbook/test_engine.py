# SPDX-License-Identifier: Apache-2.0
"""Orders to the action that follows a run, which may connect later than they are sent, and more than once."""

import json
import socket
import threading

from madctl.playbook.engine import RECEIVER, Engine
from tests.unit.module_utils.agent_by_hand import until


def test_an_order_that_comes_too_early_waits_for_the_follower():
    with Engine(print, print) as engine, socket.socket(socket.AF_UNIX) as channel:
        listener = engine._listen()
        channel.settimeout(60)
        sent = engine.stop(b"s")
        channel.connect(listener.getsockname())

        assert (sent, channel.recv(9)) == (False, b"s")
        assert engine.stop(b"k")
        assert channel.recv(9) == b"k"
        channel.close()
        engine._end_listening(listener)


def test_another_action_is_heard_after_the_first():
    heard = []
    with Engine(print, lambda event, _: heard.append(event["event"])) as engine:
        listener = engine._listen()
        for name in ("probed", "planned"):
            with socket.socket(socket.AF_UNIX) as channel:
                channel.connect(listener.getsockname())
                channel.sendall(json.dumps({"event": name}).encode() + b"\n")
        until(lambda: len(heard) == 2)
        engine._end_listening(listener)

    assert heard == ["probed", "planned"]


def test_no_thread_listens_when_the_playbook_has_ended():
    """A command that finds such a thread leaves at once, whatever else it has to do."""
    with Engine(print, print) as engine:
        engine._end_listening(engine._listen())

    assert RECEIVER not in [thread.name for thread in threading.enumerate()]

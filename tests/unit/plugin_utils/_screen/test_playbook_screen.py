# SPDX-License-Identifier: Apache-2.0
"""Problems and runs as playbooks print them."""

import re
import time

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import problem
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import playbook_screen

PLAN = {"shape": "model", "world_size": 2, "run_id": "r", "nodes": [{"host": "n1"}, {"host": "n2"}]}


def busy(host):
    return problem("NODE_BUSY", host, "already used by run X", "--skip machine")


@pytest.fixture
def told(monkeypatch):
    """All lines that a playbook shows."""
    said = []
    monkeypatch.delenv(playbook_screen.LIVE_SOCKET, raising=False)
    monkeypatch.setattr(playbook_screen.Display, "display", lambda _, piece: said.extend(piece.split("\n")))
    return said


def test_problems_are_in_the_words_of_playbooks():
    found = [busy("n1"), busy("n2")]
    found.append(problem("PORT_IN_USE", "n1", "port 1 is in use", "choose another --master-port"))

    assert playbook_screen.lines(found) == [
        "madctl: n[1-2]: already used by run X; madctl_skip: [machine] [NODE_BUSY]",
        "madctl: n1: port 1 is in use; choose another madctl_master_port [PORT_IN_USE]",
    ]
    assert playbook_screen.summary(found, "n1") == "NODE_BUSY, PORT_IN_USE: see above"
    assert playbook_screen.summary(found, "n2") == "NODE_BUSY: see above"
    assert playbook_screen.summary([problem("USAGE", None, "x")], "n1") == "USAGE: see above"


def test_a_run(told):
    screen = playbook_screen.Screen()
    screen.begin(PLAN, secrets=("hunter22",))
    for event, payload in [
        ({"event": "ready", "host": "n1"}, b""),
        ({"event": "ready", "host": "n2"}, b""),
        ({"event": "log", "host": "n1", "log": "runner.out"}, b"hunter22\nGitHub Credentials: x\nrest"),
        ({"event": "lost", "host": "n1", "message": "hunter22"}, b""),
        ({"event": "stopping", "host": "n1"}, b""),  # A node cannot tell that.
    ]:
        screen.on_event(event, payload)
    summary = {"victims": {"n2": 1}, "ranks_joined": 1, "duration_seconds": 2, "nodes": [{"run_dir": "/r"}]}
    failed = [problem("NODE_LOST", "n1", "gone")]
    screen.done({"summary": summary, "run_id": "r", "detached": False, "problems": failed})

    assert told == [
        "arm     2 nodes ready",
        "n1 | ***",
        "n1 | GitHub Credentials: (not shown)",
        "n1 | rest",
        "lost    n1 is lost: ***",
        "madctl: n1: gone [NODE_LOST]",
        "n2: 1 rank then lost its peer",
        "done    failed after 2.0 s on 2 nodes, 1 of 2 ranks joined",
        "logs    ansible-playbook madctl.multinode.logs -e madctl_run_id=r",
    ]


def test_a_run_that_is_left_alone(told):
    playbook_screen.Screen().done({"summary": {}, "run_id": "r", "detached": True})

    assert told == ["run     r is still running"]


COMMAND = {"shape": "command", "world_size": 2, "run_id": "r", "nodes": [{"host": "n1"}, {"host": "n2"}]}


def following(plan):
    """A screen of a run that has started."""
    screen = playbook_screen.Screen()
    screen.begin(plan)
    for node in plan["nodes"]:
        screen.on_event({"event": "started", "host": node["host"]}, b"")
    return screen


def beating(screen, until):
    """Call its beat when that is due, until something is so."""
    deadline = time.monotonic() + 60
    while not until():
        assert time.monotonic() < deadline
        time.sleep(min(screen.beat() or 0.01, 0.05))


def said_by(host, text):
    return {"event": "log", "host": host, "log": "runner.out"}, text.encode()


def test_a_line_that_does_not_end_is_shown_now_and_then(told, monkeypatch):
    monkeypatch.setattr(playbook_screen.waiting, "SNAPSHOT_SECONDS", 0.05)
    screen = following(COMMAND)
    del told[:]
    screen.on_event(*said_by("n1", "\r10%\x1b[31m|"))
    screen.on_event(*said_by("n2", "\r10%|"))
    beating(screen, lambda: told)
    screen.on_event(*said_by("n1", "\r100%\n"))
    screen.flush()

    assert told == ["n1 | 10%|", "n1 | 100%", "n2 | 10%|"]


def test_the_callback_draws_lines_that_do_not_end_and_the_clock(told, monkeypatch):
    sent = []
    monkeypatch.setenv(playbook_screen.LIVE_SOCKET, "somewhere")
    monkeypatch.setattr(playbook_screen, "send", lambda event: sent.append(event) or True)
    monkeypatch.setattr(playbook_screen.waiting, "QUIET_SECONDS", 0.0)
    screen = following(COMMAND)
    screen.on_event(*said_by("n1", "\router\n\rinner\x1b[A"))
    beating(screen, lambda: any(event["event"] == "below" for event in sent))
    screen.on_event(*said_by("n1", "\r100%\n"))
    screen.flush()
    below = [event for event in sent if event["event"] == "below"]

    *lines, clock = below[0]["lines"]
    assert (lines, below[0]["job"]) == (["n1 | outer", "n1 | inner"], True)
    assert re.fullmatch(r"running on 2 nodes, no output for \d+ s", clock)
    assert below[-1]["lines"] == []
    assert [event["text"] for event in sent if event["event"] == "text" and event["job"]] == ["n1 | 100%", "n1 | inner"]

# SPDX-License-Identifier: Apache-2.0
"""A run in a job is followed over a connection that may end, and told what its user wants; with agents by hand."""

import json
from contextlib import closing

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, events, wire
from ansible_collections.madctl.multinode.plugins.module_utils._common.event_loop import Loop
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import login_node
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.conductor import Conductor
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.timing import Clock
from ansible_collections.madctl.multinode.plugins.module_utils._ways.local import Local

STARTED = wire.encode({"event": "started", "host": "a"})
LINE = wire.encode({"event": "log", "host": "a", "log": "runner.out"}, b"hello\n")
INTERRUPTED = codes.problem("INTERRUPTED", None, "interrupted")
LOST = {"failed": True, "rc": None, "msg": "the connection ended"}


def ended(*parts, **result):
    data = json.dumps({"problems": [], "exit_code": 0, "detached": False, **result}).encode()
    cut = len(data) // 2
    first = wire.encode({"event": events.ENDED, "is_last": False}, data[:cut])
    return first + wire.encode({"event": events.ENDED, "is_last": True}, data[cut:])


class Call:
    def __init__(self):
        self.given = b""

    def give(self, data):
        self.given += data


class Agents:
    """Plays a script: what each connection sends, and how it ends."""

    def __init__(self, loop, *script):
        self.loop, self.ways, self.clock = loop, {"login": Local("login", "python3", "")}, Clock("")
        self._script, self.tasks, self.calls = list(script), [], []

    def become(self, _, task):
        self.tasks.append(task)
        self.calls.append(Call())
        task.started(self.calls[-1])
        self.loop.after(0.0, lambda: self._play(task, *self._script.pop(0)))

    @staticmethod
    def _play(task, data, then):
        for at in range(0, len(data), 7):
            task.raw(data[at : at + 7])
        if callable(then):
            then()
        elif then:
            task.answered(then)


@pytest.fixture
def follow(monkeypatch):
    monkeypatch.setattr(login_node, "_PAUSE_SECONDS", 0.0)

    def follow(*script, read=None):
        told, waited = [], []
        with closing(Loop()) as loop:
            agents = Agents(loop, *script)
            conductor = Conductor(agents, lambda event, payload: told.append((event["event"], payload)))
            agents.conductor = conductor
            job = {"job_id": "7", "place": "/runs/x", "conf": ""}
            following = login_node.Following(conductor, agents, "login", job, conductor.pass_on, waited.append)
            agents.script = script
            result = following.run() if read is None else following.read(read, lambda: waited.append("so far"))
        return result, told, waited, agents

    return follow


def test_frames_are_passed_on_and_the_result_may_come_in_parts(follow):
    waits = wire.encode({"event": events.QUEUED, "text": "job 7 is pending"})
    result, told, waited, _ = follow((waits + STARTED + LINE + ended(run_id="x"), None))

    assert (result["exit_code"], result["run_id"]) == (0, "x")
    assert told == [("started", b""), ("log", b"hello\n")]
    assert waited == ["job 7 is pending"]


def test_after_a_lost_connection_it_goes_on_where_it_was(follow):
    result, told, _, agents = follow((STARTED + LINE + LINE[:9], LOST), (b"", LOST), (LINE + ended(), None))

    assert result["problems"] == []
    assert [kind for kind, _ in told] == ["started", "log", "log"]
    assert [task.request["skip"] for task in agents.tasks] == [0, 2, 2]


def test_a_login_node_that_stays_away_is_named(follow):
    result, _, _, agents = follow(*[(b"", LOST)] * 6)

    assert len(agents.tasks) == 6
    (problem,) = result["problems"]
    assert problem["host"] == "login" and result["exit_code"] == 4


def test_what_the_login_node_refuses_is_not_tried_again(follow):
    result, _, _, agents = follow((b"", {"failed": True, "rc": 1, "msg": "/runs/x does not exist"}))

    assert len(agents.tasks) == 1 and "/runs/x does not exist" in result["problems"][0]["message"]


@pytest.mark.parametrize("data", [b"[]\n", b"\xff\n", b'{"event": "log", "bytes": -1}\n'])
def test_what_is_no_story_ends_the_following(follow, data):
    result, _, _, _ = follow((data, None))

    assert result["problems"][0]["code"] == "PROTOCOL_ERROR"


@pytest.mark.parametrize("result", [b"[]", b'{"problems": 5, "exit_code": 0}', b'{"problems": []}'])
def test_a_result_that_cannot_be_read_is_none(follow, result):
    found, _, _, _ = follow((wire.encode({"event": events.ENDED, "is_last": True}, result), None))

    assert found["problems"][0]["code"] == "PROTOCOL_ERROR"


@pytest.fixture
def interrupted(monkeypatch):
    """Interrupt a following some times, then have the run end."""
    monkeypatch.setattr(login_node, "_PAUSE_SECONDS", 0.0)

    def interrupted(times, reads=False):
        with closing(Loop()) as loop:
            agents = Agents(loop, (b"", None))
            conductor = Conductor(agents, lambda *_: None)
            following = login_node.Following(conductor, agents, "login", {}, conductor.pass_on, lambda _: None)
            for number in range(times):
                loop.after(0.01 * number, lambda: conductor.interrupt(INTERRUPTED))
            loop.after(0.2, lambda: agents.tasks[0].raw(ended()))
            result = following.read(True, lambda: None) if reads else following.run()
            return agents.calls[0].given, result["detached"]

    return interrupted


@pytest.mark.parametrize(("times", "given"), [(1, b"s"), (2, b"sk"), (3, b"skd")])
def test_orders_reach_the_job_and_the_third_leaves_it_alone(interrupted, times, given):
    assert interrupted(times) == (given, times == 3)


def test_a_reader_gives_no_order_but_to_leave(interrupted):
    assert interrupted(1, reads=True) == (b"d", True)

# SPDX-License-Identifier: Apache-2.0
"""Runs are followed in threads: what becomes of orders, errors and processes that are forked."""

import os
import signal
import threading

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import events
from ansible_collections.madctl.multinode.plugins.module_utils._common.wire import DETACH, KILL, STOP
from madctl.api import following as threads
from madctl.api import launching
from madctl.api.following import Following
from madctl.api.run import Run
from madctl.errors import MadctlError, refused
from madctl.nodes import hosts, inventory
from madctl.nodes.inventory import Targets
from madctl.playbook.session import RunSession
from madctl.screen import terminal
from madctl.screen.view import View
from tests.integration.command import wait_for

NODES = ["node1", "node2"]


class Player:
    """A run that continues until it is told to end."""

    failure = None

    def __init__(self, on_event):
        self.on_event, self.orders, self.told = on_event, [], threading.Semaphore(0)
        self.plays = threading.Event()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def run(self, *_):
        for host in NODES:
            self.on_event({"event": events.STARTED, "host": host, "seq": 1, "time": 1.0}, b"")
        self.plays.set()
        while not {STOP, KILL, DETACH} & set(self.orders):
            self.told.acquire()

    def stop(self, order, leaving=False):
        self.orders.append(order)
        self.told.release()
        return True

    def cancel(self):
        pass


class OfTest(RunSession):
    def player(self, on_task, on_event):
        self.made = Player(on_event)
        return self.made


@pytest.fixture
def session(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    built = inventory.build([hosts.Host(name) for name in NODES], None, None, "")
    with terminal.silence():
        made = OfTest(Targets(tuple(NODES), built), {}, View(NODES, as_json=False))
    made.judged = {"plan": {"run_id": "r", "nodes": [{"host": name} for name in NODES]}}
    return made


def followed(session):
    made = Following(lambda own: own.follow(session))
    made.start()
    return made


def test_it_has_started_when_all_nodes_have_and_ends_when_it_is_told(session):
    before = [signal.getsignal(number) for number in signal.valid_signals()]
    made = followed(session)
    made.wait_started()

    assert made.has_started and not made.wait(0)
    assert repr(Run("r", None, made)) == "<madctl.Run r: running>" and repr(Run("r")) == "<madctl.Run r: unknown>"
    assert [signal.getsignal(number) for number in signal.valid_signals()] == before
    made.give_up()
    assert session.made.orders == [STOP] and made.error is None


def playing(session):
    """Wait until a session plays, which may not be counted as a start."""
    wait_for(lambda: hasattr(session, "made"))
    assert session.made.plays.wait(60)


def test_one_node_alone_is_no_start(session, monkeypatch):
    monkeypatch.setattr(f"{__name__}.NODES", NODES[:1])
    made = followed(session)
    playing(session)
    assert not made.has_started
    made.give_up()

    assert not made.has_started


def test_an_order_that_comes_before_the_session_reaches_it(session):
    may_begin = threading.Event()

    def work(own):
        assert may_begin.wait(60)
        own.follow(session)

    made = Following(work)
    made.start()
    made.interrupt()
    may_begin.set()

    assert made.wait(60) and session.made.orders == [STOP] and session.interrupted


def test_an_end_after_the_end_is_nothing(session):
    made = followed(session)
    made.wait_started()
    made.leave()
    assert made.wait(60)
    made.leave()

    assert session.made.orders == [DETACH]


@pytest.mark.parametrize("error", [refused("USAGE", "no"), ValueError("a bug"), SystemExit(3), KeyboardInterrupt()])
def test_an_error_in_the_thread_is_raised_where_the_call_waits(error):
    def work(asked, own):
        raise error

    with pytest.raises(MadctlError) as caught:
        launching._started(work, None, False, to_end=False)
    assert caught.value is error or (caught.value.problems[0].code, caught.value.__cause__) == ("INTERNAL", error)


def test_what_interrupts_the_caller_stops_the_run_before_it_is_raised(session, monkeypatch):
    def wait_started(own):
        playing(session)
        raise InterruptedError

    monkeypatch.setattr(Following, "wait_started", wait_started)
    with pytest.raises(InterruptedError):
        launching._started(lambda asked, own: own.follow(session), None, False, to_end=False)

    assert session.made.orders == [STOP]


def test_what_goes_wrong_after_an_interrupt_is_not_lost(session, monkeypatch):
    def work(asked, own):
        own.follow(session)
        raise refused("STOP_UNVERIFIED", "could not verify that it stopped", "node1")

    def wait_started(own):
        playing(session)
        raise KeyboardInterrupt

    monkeypatch.setattr(Following, "wait_started", wait_started)
    with pytest.raises(KeyboardInterrupt) as caught:
        launching._started(work, None, False, to_end=False)

    assert caught.value.__notes__ == ["node1: could not verify that it stopped [STOP_UNVERIFIED]"]


def test_nothing_is_printed_in_the_thread_unless_it_is_wanted(capfd):
    def work(own):
        terminal.say("said")
        terminal.tell("told")
        View(["node1"], as_json=False).progress("queue", "shown")

    for shows in (False, True):
        made = Following(work, shows)
        made.start()
        assert made.wait(60)
        found = capfd.readouterr()
        assert (found.out, [word in found.err for word in ("told", "shown")]) == ("said\n" * shows, [shows] * 2)


def test_python_lets_its_runs_go_when_it_ends(session):
    made = followed(session)
    made.wait_started()
    threads._leave_all()

    assert made.wait(0) and session.made.orders == [DETACH]


def test_a_forked_process_neither_waits_for_threads_of_its_parent_nor_ends_its_runs(session):
    made = followed(session)
    made.wait_started()
    child = os.fork()
    if not child:
        threads._leave_all()
        os._exit(0 if not made.is_here and not session.made.orders else 1)

    assert os.waitpid(child, 0)[1] == 0 and made.is_here
    made.give_up()

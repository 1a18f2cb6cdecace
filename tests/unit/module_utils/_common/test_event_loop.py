# SPDX-License-Identifier: Apache-2.0
"""One thread that waits for descriptors and for time."""

import selectors
import socket
import time
from types import SimpleNamespace

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import event_loop
from ansible_collections.madctl.multinode.plugins.module_utils._common.event_loop import Loop


@pytest.fixture
def loop():
    made = Loop()
    yield made
    made.close()


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def test_only_readable_descriptors_call_back(loop, pair):
    ours, theirs = pair
    heard = []
    loop.watch(ours, lambda: heard.append(ours.recv(9)))
    loop.turn(0)
    assert heard == []

    theirs.send(b"a")
    loop.turn(20)
    loop.turn(0)
    assert heard == [b"a"]


def test_nodes_wait_while_their_reader_is_busy(loop, pair):
    ours, theirs = pair
    heard = []
    with_order, order = socket.socketpair()
    with with_order, order:
        loop.watch(ours, lambda: heard.append(ours.recv(9)), is_node=True)
        loop.watch(with_order, lambda: heard.append(with_order.recv(9)))
        theirs.send(b"node")
        order.send(b"order")
        loop.turn(20, without_nodes=True)
        assert heard == [b"order"]

        loop.turn(20)
        assert heard == [b"order", b"node"]


def test_an_ignored_node_does_not_wake_the_loop(loop, pair):
    ours, theirs = pair
    loop.watch(ours, pytest.fail, is_node=True)
    theirs.send(b"x")
    rung = []
    loop.after(0.01, lambda: rung.append(True))
    while not rung:
        loop.turn(20, without_nodes=True)


def test_a_writable_descriptor_is_written_to_until_nothing_waits(loop, pair):
    ours, theirs = pair
    written = []

    def write():
        written.append(True)
        loop.write(ours, None if len(written) == 2 else write)

    loop.watch(ours, lambda: pytest.fail("nothing came"))
    loop.write(ours, write)
    for _ in range(5):
        loop.turn(0)

    assert len(written) == 2


def test_a_descriptor_that_was_ended_by_another_callback_is_not_called(loop, pair):
    both = pair
    heard = []

    def first(own, other):
        heard.append(own)
        loop.unwatch(other)

    loop.watch(both[0], lambda: first(*both))
    loop.watch(both[1], lambda: first(*reversed(both)))
    both[0].send(b"x")
    both[1].send(b"x")
    loop.turn(20)

    assert len(heard) == 1


def test_a_descriptor_with_the_number_of_one_that_ended_is_another(loop, pair):
    ours, theirs = pair
    other, end = socket.socketpair()
    heard = []

    def replace():
        heard.append("first")
        for watched in (ours, other):
            loop.unwatch(watched)
        # As if one was closed and the next one, which has no data yet, got its number.
        loop.watch(ours, lambda: heard.append("new"))
        loop.watch(other, lambda: heard.append("new"))

    with other, end:
        loop.watch(ours, replace)
        loop.watch(other, replace)
        theirs.send(b"x")
        end.send(b"x")
        loop.turn(20)

    assert heard == ["first"]


def test_forgetting_an_unwatched_descriptor_is_not_an_error(loop, pair):
    loop.unwatch(pair[0])
    closed = socket.socket()
    closed.close()
    loop.unwatch(closed)


def test_timers_ring_once_in_the_order_of_their_time(loop):
    rung = []
    loop.after(0.02, lambda: rung.append("late"))
    loop.after(0.0, lambda: rung.append("soon"))
    loop.after(0.0, lambda: rung.append("as soon, and later"))
    loop.after(0.01, lambda: rung.append("never")).cancel()
    while "late" not in rung:
        loop.turn(20)
    loop.turn(0)

    assert rung == ["soon", "as soon, and later", "late"]


def test_a_timer_that_is_set_by_another_rings_too(loop):
    rung = []
    loop.after(0.0, lambda: loop.after(0.0, lambda: rung.append(True)))
    while not rung:
        loop.turn(20)


def test_a_turn_ends_at_the_given_time_although_a_timer_is_due_later(loop):
    loop.after(1000, pytest.fail)
    began = time.monotonic()
    loop.turn(0.01)

    assert time.monotonic() - began < 500


def test_a_time_in_the_past_is_due_now(loop):
    loop.turn(-5.0)


def test_a_loop_turns_until_something_is_reached(loop):
    rung = []
    loop.after(0.0, lambda: loop.after(0.0, lambda: rung.append(True)))
    loop.until(lambda: rung, 500)

    assert rung


def test_a_loop_turns_no_longer_than_it_may(loop):
    turns = []
    loop.until(lambda: len(turns) > 50 or turns.append(True), 0.01)

    assert len(turns) <= 50


def test_the_time_for_which_the_process_was_stopped_does_not_count(loop, monkeypatch):
    now, rung = [100.0], []
    monkeypatch.setattr(event_loop, "time", SimpleNamespace(monotonic=lambda: now[0]))
    stops = iter([0.0, 60.0, 0.0, 3.0])

    class Selector:
        def select(self, seconds):
            now[0] += seconds + next(stops)
            return []

        def close(self):
            pass

    monkeypatch.setattr(loop, "_all", Selector())
    loop._woke = now[0]
    began = loop.time()
    loop.after(7.0, lambda: rung.append(loop.time() - began))
    loop.turn(2.0)
    loop.turn(2.0)  # Stopped for a minute.
    assert (loop.time() - began, rung) == (4.0, [])
    loop.turn(2.0)
    loop.turn(5.0)  # Only late, as on a busy machine.
    assert rung == [10.0]
    now[0] += 30.0  # Stopped outside of the loop.
    monkeypatch.setattr(loop, "_all", selectors.DefaultSelector())
    loop.turn(0.0)
    assert loop.time() - began == 10.0

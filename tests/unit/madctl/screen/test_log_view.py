# SPDX-License-Identifier: Apache-2.0
"""What ``logs`` writes: with times, merged, as JSON; and what it says where there is nothing."""

import io
import json
import sys
import time

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._show import chosen
from madctl.screen.log_view import Form, LogView

HOSTS = ("node1", "node2")
NODES = [{"host": host, "nproc_per_node": 1} for host in HOSTS]
PLAN = {"run_id": "r", "shape": "script", "runner": "torchrun", "nodes": NODES, "nnodes": 2, "world_size": 2}
AT = 1_790_000_000.0


@pytest.fixture
def shown(monkeypatch):
    """Make a screen, and give what was written since the last time."""
    monkeypatch.setenv("TZ", "UTC-2")
    time.tzset()
    out = io.StringIO()

    def make(form, hosts=(), ranks=()):
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", out)

        def lines():
            found = out.getvalue().splitlines()
            out.seek(0)
            out.truncate()
            return found

        return LogView(HOSTS, PLAN, form, chosen.of(hosts, ranks)), lines

    yield make
    monkeypatch.undo()
    time.tzset()


def log(view, host, name, text, at=None):
    event = {"event": "log", "host": host, "log": name, "offset": 0}
    view.on_event(event if at is None else {**event, "time": AT + at}, text.encode())


def test_each_line_is_behind_its_time_by_the_clock_of_this_machine(shown):
    view, lines = shown(Form(with_times=True))
    log(view, "node1", "rank-0.out", "a\nb", 0.4)
    log(view, "node1", "rank-0.out", "c\n", 1.2)
    log(view, "node2", "runner.err", "unknown\n")
    view.close()

    assert lines() == [
        "2026-09-21T16:13:20 node1:0    │ a",
        "2026-09-21T16:13:21 node1:0    │ bc",
        "-                   node2      │ unknown",
    ]


def test_an_object_per_line_says_all_of_it(shown):
    view, lines = shown(Form(as_json=True))
    log(view, "node1", "rank-0.out", "ä\x1b[2J\n", 0.4)
    log(view, "node2", "runner.err", "b")
    view.close()

    first, second = map(json.loads, lines())
    assert (first["time"], first["host"], first["rank"]) == ("2026-09-21T16:13:20+02:00", "node1", 0)
    assert (first["stream"], first["text"][0]) == ("stdout", "ä")
    assert second == {"time": None, "host": "node2", "rank": None, "stream": "stderr", "text": "b"}


def test_lines_of_all_nodes_are_in_the_order_of_time_and_the_last_are_of_all(shown):
    for form, expected in ((Form(is_merged=True), "abcde"), (Form(is_merged=True, last=2), "de")):
        view, lines = shown(form)
        log(view, "node1", "rank-0.out", "a\n", 1.0)
        log(view, "node1", "rank-0.out", "d\n", 4.0)
        log(view, "node1", "rank-0.out", "e\n", 3.0)  # The clock was set back; the order of one log is what it is.
        log(view, "node2", "rank-1.out", "b\n", 2.0)
        log(view, "node2", "rank-1.err", "c\n", 3.0)
        assert lines() == []
        view.close()

        assert "".join(line[-1] for line in lines()) == expected


@pytest.mark.parametrize("end", ["so_far", "exit", "lost"])
def test_who_follows_sees_what_was_there_merged_and_then_what_comes(shown, end):
    view, lines = shown(Form(is_merged=True))
    log(view, "node1", "rank-0.out", "b\n", 2.0)
    view.on_event({"event": "so_far", "host": "node1"}, b"")
    log(view, "node2", "rank-1.out", "a\n", 1.0)
    before = lines()
    view.on_event({"event": end, "host": "node2"}, b"")
    merged = lines()
    log(view, "node1", "rank-0.out", "z\n", 0.5)

    assert before == []
    assert [line[-1] for line in merged] == ["a", "b"]
    assert [line[-1] for line in lines()] == ["z"]


@pytest.mark.parametrize("form", [Form(), Form(with_times=True), Form(is_merged=True, as_json=True)])
def test_only_the_chosen_ranks_are_shown_in_every_form(shown, form):
    view, lines = shown(form, ranks=["1"])
    for host, name in (("node1", "rank-0.out"), ("node2", "rank-1.out"), ("node2", "runner.out")):
        log(view, host, name, "of %s\n" % name, 1.0)
    view.close()

    assert ["rank-1.out" in line for line in lines()] == [True]


@pytest.mark.parametrize(
    ("ended", "when", "said"),
    [
        ([], "", "notice  rank 1 has printed nothing yet"),
        (["node1"], "", "notice  rank 1 has printed nothing yet"),
        (HOSTS, "", "notice  rank 1 has printed nothing"),
        ([], " in the last 10m", "notice  rank 1 has printed nothing in the last 10m"),
    ],
)
def test_who_was_asked_for_and_printed_nothing_is_told(shown, ended, when, said):
    view, lines = shown(Form(), ranks=["0-1"])
    log(view, "node1", "rank-0.out", "a\n")
    for host in ended:
        view.on_event({"event": "exit", "host": host}, b"")
    view.close()
    lines()
    view.tell_silent(when)

    assert lines() == [said]


@pytest.mark.parametrize("form", [Form(), Form(with_times=True), Form(is_merged=True)])
def test_what_no_newline_has_ended_yet_is_shown_when_all_is_read(shown, form):
    view, lines = shown(form)
    log(view, "a", "rank-0.err", "\r 50%", at=1)
    view.close()
    view.close()

    assert [line.partition("│ ")[2] for line in lines()] == [" 50%"]


@pytest.mark.parametrize("form", [Form(), Form(with_times=True), Form(is_merged=True), Form(as_json=True)])
def test_in_no_form_the_end_of_torchrun_is_shown(shown, form):
    view, lines = shown(form)
    view.attached(PLAN)
    dying = "Received 15 death signal, shutting down workers\nTraceback (most recent call last):\n"
    log(view, "a", "runner.err", dying + "SignalException: Process 7 got signal: 15\n", at=1)
    view.close()

    (line,) = lines()
    assert "Received 15 death signal" in line

# SPDX-License-Identifier: Apache-2.0
"""Streams that end for many reasons, and threads that continue until the real end, or until they are stopped."""

import json
import threading
from queue import Queue

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.madctl.multinode.plugins.module_utils._common.refusal import Refused
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import cluster as clusters
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import streams
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes.cluster import Cluster, Expired, Listed
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes.streams import (
    Changed,
    Denied,
    Gap,
    Line,
    LogEnd,
    PodLog,
    Trouble,
    Watch,
)
from tests.unit.cluster_objects import Answers
from tests.unit.http_answers import ITEMS, kubeconfig, served

AWAY = Refused("SCHEDULER_UNREACHABLE", "it is away")
FORBIDDEN = Refused("SCHEDULER_REFUSED", "it is forbidden", status=403)
MISSING = Refused("SCHEDULER_REFUSED", "it is not there", status=404)
NOT_YET = Refused("SCHEDULER_REFUSED", "the container is waiting to start", status=400)


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(streams, "_PAUSES", (0.001, 0.002))
    monkeypatch.setattr(streams, "_AGAIN_SECONDS", 0.001)


class Script:
    """Answers one question after another with what a test has written down, and notes what it was asked."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), []

    def _next(self, *asked):
        self.asked.append(asked)
        answer = self.answers.pop(0) if self.answers else FORBIDDEN
        answer = answer() if callable(answer) else answer
        if isinstance(answer, Exception):
            raise answer
        return answer

    def log(self, pod, container, since, follow):
        return self._next(since is not None, follow)

    def list(self, kind, selector):
        return self._next("list")

    def watch(self, kind, selector, version):
        return self._next(version)


def stamp(second, nanoseconds=0):
    return b"2026-12-01T05:00:%02d.%09dZ" % (second, nanoseconds)


def lines(*numbers):
    return [stamp(number) + b" line %d" % number for number in numbers]


def all_of(queue, last):
    found = []
    while not found or not isinstance(found[-1], last):
        found.append(queue.get(timeout=60))
    return found


def read(*answers, follow=True):
    """Read a log to its end; its container ends when there is no other answer."""
    script, queue = Script(*answers), Queue()
    thread = PodLog(script, queue, "p", "uid", follow)

    def end():
        thread.is_over.set()
        return Answers()

    if follow:
        script.answers += [end, Answers()]
    thread.start()
    return script, all_of(queue, LogEnd)


def texts(found):
    return [one.text for one in found if isinstance(one, Line)]


# -- logs ---------------------------------------------------------------------------------------------


def test_the_end_of_a_stream_is_not_that_of_a_log():
    script, found = read(Answers(lines(1, 2)), Answers(lines(2, 3)), Answers(lines(1, 2, 3, 4)))

    assert texts(found) == [b"line 1", b"line 2", b"line 3", b"line 4"]
    assert not [one for one in found if isinstance(one, (Gap, Trouble, Denied))]
    assert script.asked[0] == (False, True) and script.asked[1] == (True, True) and script.asked[-1] == (True, False)


@given(st.lists(st.integers(0, 2), min_size=1, max_size=12), st.data())
def test_every_line_comes_once_wherever_streams_end_and_whatever_times_lines_share(steps, data):
    """Some runtimes give all lines that they read at once the same time."""
    times = [sum(steps[: number + 1]) for number in range(len(steps))]
    log = [stamp(at) + b" %d" % number for number, at in enumerate(times)]
    answers, end = [], 0
    for _ in range(data.draw(st.integers(0, 4))):
        # All lines of the last time, and perhaps some before.
        begin = data.draw(st.integers(0, times.index(times[end - 1]) if end else 0))
        end = data.draw(st.integers(end, len(log)))
        answers.append(Answers(log[begin:end]))
    _, found = read(*answers, Answers(log))

    assert texts(found) == [b"%d" % number for number in range(len(log))]
    assert not [one for one in found if isinstance(one, Gap)]


def test_a_line_that_is_cut_is_read_again():
    _, found = read(Answers(lines(1), rest=lines(2)[0][:-3]), Answers(lines(1, 2)))

    assert texts(found) == [b"line 1", b"line 2"]


def test_the_last_line_of_all_may_lack_its_end():
    _, found = read(Answers(lines(1), rest=lines(2)[0]), follow=False)

    assert texts(found) == [b"line 1", b"line 2"]


def test_lines_that_were_printed_long_before_they_arrived_are_not_lost():
    """The server is asked for what is younger than the arrival of the last line, which may have been old by then."""
    script, found = read(Answers(lines(1, 2)), Answers(lines(8, 9)), Answers(lines(1, 2, 3, 8, 9)))

    assert texts(found) == [b"line 1", b"line 2", b"line 3", b"line 8", b"line 9"]
    assert not [one for one in found if isinstance(one, Gap)] and script.asked[1:3] == [(True, True), (False, True)]


def test_there_is_a_gap_only_where_the_last_line_is_not_there_any_more():
    _, found = read(Answers(lines(1, 2)), Answers(lines(8, 9)), Answers(lines(7, 8, 9)))

    kinds = [type(one).__name__ if not isinstance(one, Line) else one.text for one in found]
    assert kinds == [b"line 1", b"line 2", "Gap", b"line 7", b"line 8", b"line 9", "LogEnd"]


def test_times_that_go_back_a_little_cost_no_line_twice():
    """Two writers of one log may be a moment apart."""
    log = [*lines(1, 3, 2)]
    _, found = read(Answers(log), Answers(log), Answers([*log, *lines(4)]))

    assert texts(found) == [b"line 1", b"line 3", b"line 2", b"line 4"]


def test_a_server_that_is_away_is_asked_again_and_its_return_is_told_at_once():
    closed, told = threading.Event(), Queue()

    class Waiting(Answers):
        def __iter__(self):
            closed.wait(60)
            return iter(())

    queue = Queue()
    thread = PodLog(Script(Answers(lines(1)), AWAY, AWAY, Waiting), queue, "p", "uid", True)
    thread.start()
    while not isinstance(told.queue[-1] if told.queue else None, Trouble) or told.queue[-1].problem:
        told.put(queue.get(timeout=60))
    thread.stop()
    closed.set()

    assert [one.problem and one.problem["code"] for one in told.queue if isinstance(one, Trouble)] == [
        *["SCHEDULER_UNREACHABLE"] * 2,
        None,
    ]


@pytest.mark.parametrize("answers", [(MISSING,), (Answers(lines(1)), MISSING), (FORBIDDEN,)])
def test_a_log_that_cannot_be_had_ends(answers):
    _, found = read(*answers)

    assert isinstance(found[-1], LogEnd)
    assert [one for one in found if isinstance(one, Denied)] == [Denied(FORBIDDEN.problem, False)] * (
        answers == (FORBIDDEN,)
    )


def test_a_container_that_has_not_begun_is_waited_for_and_one_that_never_begins_is_not():
    _, found = read(NOT_YET, NOT_YET, Answers(lines(1)))
    assert texts(found) == [b"line 1"] and not [one for one in found if isinstance(one, (Trouble, Denied))]

    _, found = read(NOT_YET, follow=False)
    assert found == [LogEnd("uid")]


def test_an_error_of_our_own_is_told_and_nobody_waits_for_ever():
    _, found = read(ValueError("odd"))

    assert isinstance(found[-1], LogEnd) and found[-2].problem["message"] == "ValueError: odd"


# -- watches ------------------------------------------------------------------------------------------


def change(what, version, **more):
    return json.dumps({"type": what, "object": {"metadata": {"resourceVersion": version}, **more}}).encode()


def watch(*answers):
    script, queue = Script(*answers), Queue()
    Watch(script, clusters.POD, "x", queue).start()
    return script, all_of(queue, Denied)


def test_a_watch_goes_on_where_the_last_change_or_bookmark_was():
    changes = Answers(
        [change("ADDED", "5", a=1), change("BOOKMARK", "9"), b'{"type": "MODIFIED", "object": {"metadata": null}}']
    )
    script, found = watch(Listed(["a"], "3"), changes, Answers(), Answers([change("DELETED", "11")]), Answers())

    assert [asked for (asked,) in script.asked] == ["list", "3", "9", "9", "11", "11"]
    assert [(one.what, one.found.get("a")) for one in found if isinstance(one, Changed)] == [
        *[("ADDED", 1), ("MODIFIED", None)],
        ("DELETED", None),
    ]
    assert found[0].items == ["a"] and found[-1].is_watch


FORGOTTEN = [Expired(), Answers([change("ADDED", "4"), b'{"type": "ERROR", "object": {"code": 410}}'])]


@pytest.mark.parametrize("forgotten", FORGOTTEN)
def test_what_the_server_has_forgotten_is_listed_again(forgotten):
    script, found = watch(Listed(["a"], "3"), forgotten, Listed(["b"], "20"), Answers())

    assert [one.items for one in found if isinstance(one, streams.Listed)] == [["a"], ["b"]]
    assert ("20",) in script.asked and not [one for one in found if isinstance(one, Trouble)]


def test_a_server_that_forgets_everything_at_once_is_not_asked_without_a_pause(monkeypatch):
    pauses = []
    monkeypatch.setattr(threading.Event, "wait", lambda *given: pauses.append(given[1:]) and False)
    watch(*[Listed([], "3"), Expired()] * 5)

    assert pauses.count((0.001,)) >= 5


def test_pauses_grow_and_begin_anew_once_the_server_has_answered(monkeypatch):
    pauses = []
    real = threading.Event.wait
    monkeypatch.setattr(
        threading.Event, "wait", lambda event, seconds=None: pauses.append(seconds) or real(event, seconds)
    )
    _, found = watch(AWAY, AWAY, AWAY, Listed([], "1"), Answers(), Refused("SCHEDULER_UNREACHABLE", "503", status=503))

    assert [one for one in pauses if one in (0.001, 0.002)][:5] == [0.001, 0.002, 0.002, 0.001, 0.001]
    assert [one.problem is None for one in found if isinstance(one, Trouble)] == [False, False, False, True, False]


def test_garbage_in_a_watch_is_no_change_and_no_end():
    _, found = watch(
        Listed(["a"], "1"), Answers([b"garbage"]), Listed(["b"], "2"), Answers([b"[]"]), Listed(["c"], "3")
    )

    assert [one.items for one in found if isinstance(one, streams.Listed)] == [["a"], ["b"], ["c"]]


# -- the end ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["watch", "log"])
def test_a_thread_that_waits_for_a_line_is_stopped(tmp_path, kind):
    """With the real client and a real server, which says nothing more."""
    over, waits = threading.Event(), threading.Event()

    def answer(request):
        if "watch=" not in request.path and "/log" not in request.path:
            return 200, json.dumps(ITEMS).encode()
        request.begin()
        request.more(lines(1)[0] + b"\n" if kind == "log" else change("ADDED", "8") + b"\n")
        waits.set()
        over.wait(120)
        return None

    with served(answer) as server:
        cluster, queue = Cluster(kubeconfig(tmp_path / "config", f"http://127.0.0.1:{server.server_port}")), Queue()
        thread = PodLog(cluster, queue, "p", "u", True) if kind == "log" else Watch(cluster, clusters.POD, "x", queue)
        thread.start()
        assert waits.wait(60)
        all_of(queue, Line if kind == "log" else Changed)
        thread.stop()
        thread._thread.join(60)
        has_ended = not thread._thread.is_alive()
        over.set()

    assert has_ended
    assert not [one for one in queue.queue if isinstance(one, (Trouble, Denied))], "it was stopped, which is no trouble"


def test_a_thread_that_waits_between_attempts_is_stopped(monkeypatch):
    monkeypatch.setattr(streams, "_PAUSES", (1000.0,))
    queue = Queue()
    thread = Watch(Script(AWAY), clusters.POD, "x", queue)
    thread.start()
    all_of(queue, Trouble)
    thread.stop()
    thread._thread.join(60)

    assert not thread._thread.is_alive()


def test_a_stream_that_begins_after_the_stop_is_closed():
    stream, queue = Answers(), Queue()

    def late():
        thread.stop()
        return stream

    thread = PodLog(Script(late), queue, "p", "u", True)
    thread.start()
    all_of(queue, LogEnd)

    assert stream.is_closed

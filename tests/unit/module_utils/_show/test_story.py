# SPDX-License-Identifier: Apache-2.0
"""Events in, sentences and output out: the story that madctl and playbooks tell."""

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import wire
from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import problem
from ansible_collections.madctl.multinode.plugins.module_utils._show import sentences, story, summary
from ansible_collections.madctl.multinode.plugins.module_utils._show.masking import Mask

HOSTS = ("n1", "n2", "n3")


def plan(*hosts, shape="script", **more):
    nodes = [{"host": host, "nproc_per_node": 2, "interface": "ib0"} for host in hosts or HOSTS]
    shared = {"run_id": "r", "nnodes": len(nodes), "master_addr": "10.0.0.1", "master_port": 29500}
    return {**shared, "shape": shape, "world_size": 2 * len(nodes), "nodes": nodes, **more}


def each(kind, times=1, **more):
    return [{"event": kind, "host": host, **more} for host in HOSTS for _ in range(times)]


def log(host, name, text):
    return {"event": "log", "host": host, "log": name, "payload": text.encode()}


START = [*each("ready"), *each("started"), *each("joined", times=2)]
STARTED = ["arm     3 nodes ready", "go      started on 3 nodes", "ranks   all 6 joined"]
ABOUT = {"dir": "/code", "files": 1, "bytes": 10, "dirty": True, "commit": "0123456789", "branch": "main"}
CODE = {"event": "synced", "code": ABOUT, "nodes": 0, "sent": 0}
RESTART = {"event": "restart", "attempt": 1, "of": 3, "replaced": {"n3": "n9"}, "plan": {"run_id": "r.1"}}
LOST = {"code": "NODE_LOST", "host": "n3", "message": "it is gone", "remedy": None}

# What happens, and what is told of it, output with its source.
STORIES = {
    "all are probed": (each("probed", answered=True), ["probe   3 nodes answered"]),
    "one is silent": ([*each("probed", answered=True)[:2], {"event": "probed", "host": "n3", "answered": False}], []),
    "a start": (START, STARTED),
    "a start that is not complete": ([*each("ready")[:2], *each("started")[1:], *each("joined")], []),
    "a bar that ended before what its rank prints next": (
        [
            log("n1", "rank-0.err", "\r 50%\r100%\n"),
            log("n2", "rank-2.err", "\r 70%\n"),
            log("n1", "rank-0.out", "saved\n"),
        ],
        ["n1:0 100%", "n1:0 saved"],
    ),
    "a failure": ([{"event": "stopping"}], ["stop    stopping all nodes"]),
    "silence": ([{"event": "suspect", "host": "n2"}], ["link    n2 does not answer; the run continues, retrying"]),
    "an answer": ([{"event": "back", "host": "n2"}], ["link    n2 is back"]),
    "a loss": ([{"event": "lost", "host": "n2", "message": "gone"}], ["lost    n2 is lost: gone"]),
    "a loss without a reason": (
        [{"event": "lost", "host": "n2"}, {"event": "lost", "host": "n2", "message": None}],
        ["lost    n2 is lost"] * 2,
    ),
    "a full disk": (
        [{"event": "log_degraded", "host": "n1", "log": "rank-0.out", "size": 1}],
        ["notice  n1: the disk is full; output of rank-0.out is lost"],
    ),
    "too few files": (
        [{"event": "files_short", "host": "n1", "rank": 7}],
        ["notice  n1: too few open files; the output of rank 7 is in runner.*"],
    ),
    "no py-spy": (each("no_dump")[:1], ["notice  n1: no stack traces, because py-spy is not installed"]),
    "idle": ([{"event": "idle", "seconds": 600.0}], ["idle    no output for 600 s; stopping"]),
    "a restart counts again": (
        [*START, {"event": "stopping"}, {**RESTART, "after": LOST}, *START],
        [
            *STARTED,
            "stop    stopping all nodes",
            "restart 1 of 3: attempt 1 failed: n3: it is gone; n9 replaces n3",
            *STARTED,
        ],
    ),
    "a restart of the same nodes": ([{"event": "restart", "attempt": 2, "of": 3}], ["restart 2 of 3"]),
    "output": (
        [log("n1", "rank-0.out", "a\nb"), log("n1", "rank-0.err", "c\n"), log("n1", "rank-0.out", "d\n")],
        ["n1:0 a", "n1:0 c", "n1:0 bd"],
    ),
    "a gap ends a line": (
        [log("n1", "rank-0.out", "a"), {"event": "skipped", "host": "n1", "log": "rank-0.out", "size": 1500}],
        ["n1:0 a …", "n1:0 … 1.5 kB not shown; see the log on the node"],
    ),
    "the end of a node ends its lines": (
        [log("n1", "rank-0.out", "a"), log("n2", "rank-2.out", "b"), {"event": "exit", "host": "n1"}],
        ["n1:0 a"],
    ),
    "a loss ends lines first": (
        [log("n2", "rank-2.out", "a"), {"event": "lost", "host": "n2"}],
        ["n2:2 a", "lost    n2 is lost"],
    ),
    "a restart ends all lines first": (
        [log("n1", "rank-0.out", "a"), log("n2", "rank-2.out", "b"), {**RESTART, "replaced": None}],
        ["n1:0 a", "n2:2 b", "restart 1 of 3"],
    ),
    "torchrun is hidden once it is stopped": (
        [
            log("n1", "runner.err", "a\n"),
            {"event": "stopping"},
            log("n1", "runner.err", "b\n"),
            log("n1", "rank-0.out", "c\n"),
        ],
        ["n1: a", "stop    stopping all nodes", "n1:0 c"],
    ),
    "torchrun that a signal ends says so, and no more": (
        [
            log("n1", "runner.err", "a\nW1 Received 15 death signal, shutting down workers\nTraceback (most recent\n"),
            log("n1", "runner.err", "SignalException: Process 180 got signal: 15\n"),
            log("n2", "runner.err", "b\n"),
            log("n1", "rank-0.out", "c\n"),
        ],
        ["n1: a", "n1: W1 Received 15 death signal, shutting down workers", "n2: b", "n1:0 c"],
    ),
    "torchrun is shown after a restart": (
        [{"event": "stopping"}, {**RESTART, "replaced": None}, *each("started"), log("n1", "runner.err", "a\n")],
        ["stop    stopping all nodes", "restart 1 of 3", STARTED[1], "n1: a"],
    ),
    "what is not told": ([{"event": "armed", "host": "n1"}, {"event": "x", "host": "n1"}], []),
}


def gone(*hosts, **about):
    """A story of a run that has started."""
    one = story.Story(HOSTS, Mask(about.pop("secrets", ())))
    one.begin(plan(*hosts, **about))
    for host in one.hosts:
        list(one.take({"event": "started", "host": host}))
    return one


def told(told_by, happenings):
    lines = []
    for event in happenings:
        for one in told_by.take(event, event.get("payload", b"")):
            if isinstance(one, sentences.Sentence):
                lines.append(str(one))
            elif not one.is_hidden:
                lines += [f"{one.host}:{one.rank} {text}" for text in one.texts]
    return lines


@pytest.mark.parametrize("case", STORIES)
def test_events_in_sentences_out(case):
    happenings, expected = STORIES[case]
    one = gone()
    one._counts.clear()

    assert told(one, happenings) == expected


def why(message, host="n2", code="RANK_FAILED"):
    return {"event": "stopping", "why": problem(code, host, message)}


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (why("rank 3 failed: exit code 1"), "rank 3 on n2 failed (exit code 1)"),
        (why("torchrun failed: SIGKILL"), "torchrun on n2 failed (SIGKILL)"),
        (why("it rebooted during the run", code="NODE_REBOOTED"), "n2 is lost"),
        (why("x could not be started: no such file", code="START_FAILED"), "n2: x could not be started: no such file"),
        (why("the job did not end in time", None, "TIMED_OUT"), "the job did not end in time"),
        (why("interrupted", None, "INTERRUPTED"), "interrupted"),
        (why("x" * 999, None), "x" * 200 + " …"),
    ],
)
def test_the_reason_comes_before_the_stop(event, expected):
    assert told(gone(), [event]) == [f"stop    {expected}; stopping all nodes"]


def test_nodes_that_fail_before_their_names_are_known_are_not_counted():
    assert told(story.Story((), Mask()), each("probed", answered=False)) == []


def test_an_interrupt_that_a_signal_has_told_is_not_told_again():
    one = gone()
    one.is_interrupted = True

    assert told(one, [why("interrupted", None, "INTERRUPTED")]) == []
    assert told(one, [why("rank 3 failed: exit code 1")]) == [
        "stop    rank 3 on n2 failed (exit code 1); stopping all nodes"
    ]


EARLY = [log("n1", "rank-0.out", "early\n"), {"event": "skipped", "host": "n1", "log": "rank-0.out", "size": 1500}]
TOLD_LATE = ["n1:0 early", "n1:0 … 1.5 kB not shown; see the log on the node"]


def test_output_before_the_start_waits_until_that_is_told():
    one = story.Story(HOSTS, Mask())
    one.begin(plan())

    assert told(one, EARLY + each("started")) == [STARTED[1], *TOLD_LATE]
    assert told(one, EARLY) == TOLD_LATE


def test_output_of_a_node_that_has_ended_before_another_one_started_waits_too():
    one = story.Story(HOSTS, Mask())
    one.begin(plan())
    *begun, other = each("started")
    ended = {"event": "exit", "host": "n1", "outcome": "exited", "exit_code": 0}

    assert told(one, [*begun, *EARLY, log("n1", "rank-0.out", "no newline"), ended]) == []
    assert told(one, [other]) == [STARTED[1], *TOLD_LATE, "n1:0 no newline"]


@pytest.mark.parametrize("event", ["stopping", "start_failed", "exit", "lost", "suspect", "restart"])
def test_output_before_a_start_that_fails_waits_until_that_is_known(event):
    one = story.Story(HOSTS, Mask())
    one.begin(plan())
    happenings = [*EARLY, {"event": event, "host": "n2", "message": "gone", "attempt": 1, "of": 1}]

    assert told(one, happenings)[:2] == TOLD_LATE


def test_output_before_a_start_that_is_not_awaited_any_more_is_not_lost():
    one = story.Story(HOSTS, Mask())
    one.begin(plan())
    assert told(one, EARLY) == []

    assert [text for output in one.end() for text in output.texts] == [line[5:] for line in TOLD_LATE]


def test_much_output_before_the_start_does_not_wait():
    one = story.Story(HOSTS, Mask())
    one.begin(plan())
    held = [told(one, [log("n1", "rank-0.out", "x" * 99_999 + "\n")]) for _ in range(12)]

    assert held[0] == [] and held[11]


def test_nothing_is_told_of_the_start_of_an_attached_run():
    one = story.Story(HOSTS, Mask(), is_attached=True)
    one.begin(plan())

    assert told(one, [*START, {"event": "lost", "host": "n1"}]) == ["lost    n1 is lost"]


def test_only_a_script_hides_its_runner():
    one = story.Story(HOSTS, Mask())
    one.begin(plan(shape="command"))

    assert told(one, [{"event": "stopping"}, log("n1", "runner.out", "a\n")])[1:] == ["n1: a"]


def test_output_comes_in_blocks_where_no_line_must_be_inspected():
    def taken(text, shape="script", secrets=(), in_blocks=True):
        one = gone(shape=shape, secrets=secrets)
        return next(one.take(log("n1", "rank-0.out", text), text.encode(), in_blocks))

    assert taken("a\nb\nc").block == b"a\nb" and not taken("a\nb\nc").texts
    assert taken("\n").block == b""
    for inspected in (
        taken("é\n"),
        taken("a\n", secrets=["secret-word"]),
        taken("a\n", in_blocks=False),
        taken("Credentials: x\n", shape="model"),
    ):
        assert inspected.texts and inspected.block is None
    assert taken("Credentials: x\n", shape="model").texts == ["Credentials: (not shown)"]


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        (sentences.answered(1), "probe   1 node answered"),
        (sentences.synced(CODE), "code    0123456 on main, with changes; 1 file, 10 bytes; all nodes have it"),
        (
            sentences.synced({**CODE, "nodes": 2, "sent": 20}),
            "code    0123456 on main, with changes; 1 file, 10 bytes; sent 20 bytes to 2 nodes",
        ),
        (
            sentences.synced({**CODE, "nodes": 1}),
            "code    0123456 on main, with changes; 1 file, 10 bytes; a launch sends it to 1 node",
        ),
        (sentences.installing(["n2", "n1"]), "install net-tools on n[1-2]"),
        (sentences.planned(plan()), "plan    3 × 2 = 6 ranks on ib0, master 10.0.0.1:29500"),
        (sentences.attached(plan("n1", world_size=1)), "attach  r: 1 node, 1 rank"),
        (sentences.about_links("suspect", ["n1", "n2"]), "link    n[1-2] do not answer; the run continues, retrying"),
        (sentences.about_links("back", ["n1", "n2"]), "link    n[1-2] are back"),
        (sentences.interrupted(wire.STOP, True), "stop    interrupted; stopping all nodes; press Ctrl-C again to kill"),
        (sentences.interrupted(wire.STOP, False), "stop    stopping; press Ctrl-C again to kill"),
        (sentences.interrupted(wire.KILL, True), "stop    killing; press Ctrl-C again to detach"),
        (sentences.interrupted(wire.DETACH, True), "stop    detaching; the run continues"),
        (sentences.interrupted(wire.DETACH, False), "stop    leaving before the start"),
    ],
)
def test_sentences(sentence, expected):
    assert str(sentence) == expected


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([1], "1 × 1 = 1 rank"),
        ([2, 2], "2 × 2 = 4 ranks"),
        ([1, 2, 1], "2 × 1 + 1 × 2"),
        ([8] * 99 + [4], "99 × 8 + 1 × 4"),
    ],
)
def test_ranks_are_a_short_sum_however_many_nodes_there_are(counts, expected):
    nodes = [{"nproc_per_node": number, "interface": "ib0"} for number in counts]

    assert sentences.planned(plan(nodes=nodes, world_size=sum(counts))).text.startswith(expected)


# -- the end ----------------------------------------------------------------------------------------


def ending(how, attached=False, logs="", **found):
    one = story.Story((), Mask(), attached)
    one.begin(plan())
    return summary.ending(how, one, {"duration_seconds": 2, **found}, logs)


def test_the_end_of_a_success():
    assert ending("succeeded") == ["done    succeeded after 2.0 s on 3 nodes"]
    assert ending("succeeded", ranks_joined=6) == ["done    succeeded after 2.0 s on 3 nodes, 6 of 6 ranks joined"]
    assert ending("succeeded", attached=True) == ["done    succeeded after 2.0 s on 3 nodes"]
    assert ending("succeeded", attempts=3, ranks_joined=6, duration_seconds=43.2) == [
        "done    succeeded after 43 s on 3 nodes, attempt 3, 6 of 6 ranks joined"
    ]


def test_the_end_of_a_failure_tells_who_lost_a_peer_and_where_logs_are():
    assert ending("failed", victims={"n2": 3, "n3": 4, "n1": 0}, logs="madctl logs r --rank 3") == [
        "n[2-3]: 7 ranks then lost their peers",
        "done    failed after 2.0 s on 3 nodes",
        "logs    madctl logs r --rank 3",
    ]
    assert ending("failed", victims={"n2": 1})[0] == "n2: 1 rank then lost its peer"


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ([], "succeeded"),
        (["RANK_FAILED", "INTERRUPTED"], "failed"),
        (["INTERRUPTED"], "interrupted"),
        (["RUN_STOPPED"], "stopped"),
        (["TIMED_OUT"], "timed out"),
    ],
)
def test_the_first_problem_says_how_a_run_ended(codes, expected):
    assert summary.outcome(codes) == expected

# SPDX-License-Identifier: Apache-2.0
"""What a run waits for, in words, and snapshots of lines that do not end."""

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._show.waiting import Snapshots, Waiting


def run(*happenings, shape="script", hosts=("gpu01", "gpu02", "gpu03")):
    one = Waiting()
    one.begin({"shape": shape, "runner": "torchrun", "nodes": [{"host": host, "nproc_per_node": 2} for host in hosts]})
    for kind, *hosts in happenings:
        for host in hosts or [None]:
            one.take({"event": kind, **({"host": host} if host else {})}, 100.0)
    return one


ALL = ("gpu01", "gpu02", "gpu03")
STARTED, JOINED = ("started", *ALL), ("joined", *ALL, *ALL)


@pytest.mark.parametrize(
    ("happenings", "text"),
    [
        ([], ""),
        ([("started", "gpu01", "gpu02")], "started on 2 of 3 nodes, waiting for gpu03"),
        ([STARTED], "0 of 6 ranks joined, waiting for gpu[01-03]"),
        ([STARTED, ("joined", *ALL, "gpu01", "gpu02")], "5 of 6 ranks joined, waiting for gpu03"),
        ([STARTED, JOINED], "6 of 6 ranks running, no output for 12 s"),
        ([STARTED, JOINED, ("rank_exit", "gpu01")], "5 of 6 ranks running, no output for 12 s"),
        ([STARTED, JOINED, ("exit", "gpu01"), ("stopping",)], "stopping, waiting for gpu[02-03]"),
        ([STARTED, JOINED, ("exit", *ALL)], ""),
    ],
)
def test_what_is_waited_for(happenings, text):
    assert run(*happenings).text(12) == text


def test_work_that_counts_no_ranks_runs_on_nodes():
    assert run(STARTED, shape="command").text(12) == "running on 3 nodes, no output for 12 s"
    assert run(STARTED, ("lost", "gpu02"), shape="command").text(185) == "running on 2 nodes, no output for 3 min"
    assert run(("started", "a"), shape="command", hosts=("a",)).text(59) == "running on 1 node, no output for 59 s"


def test_a_restart_counts_again():
    one = run(STARTED, JOINED)
    nodes = [{"host": "gpu09", "nproc_per_node": 1}]
    one.take({"event": "restart", "plan": {"shape": "script", "runner": "torchrun", "nodes": nodes}}, 0)
    one.take({"event": "started", "host": "gpu09"}, 0)

    assert one.text(1) == "0 of 1 rank joined, waiting for gpu09"


def test_a_moment_of_silence_is_not_worth_a_line():
    one = run(STARTED, JOINED)

    assert one.line(104.9, 0) == "" and one.line(105, 0) == "6 of 6 ranks running, no output for 5 s"
    assert one.line(107, written=103) == "" and one.line(108, written=103).endswith("no output for 8 s")
    one.take({"event": "log", "host": "gpu01"}, 107)
    assert one.line(111, 0) == ""


def test_snapshots_are_of_what_has_changed_and_not_too_often():
    made, a, b = Snapshots(), (("n", "0"), "10%"), (("n", "1"), "10%")
    assert made.due is None
    made.heard(1)
    made.heard(5)
    assert made.due == 11
    assert made.take([a, b]) == [a, b]
    assert made.due is None
    made.heard(12)
    assert made.take([a, (("n", "1"), "20%")]) == [(("n", "1"), "20%")]

# SPDX-License-Identifier: Apache-2.0
"""Whose output is shown, why a choice shows nothing, and who has printed nothing."""

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._show import chosen


def plan(hosts=("node1", "node2"), each=2, **more):
    nodes = [{"host": host, "nproc_per_node": each} for host in hosts]
    known = {"shape": "script", "runner": "torchrun", "nnodes": len(hosts), "world_size": each * len(hosts)}
    return {**known, "nodes": nodes, **more}


@pytest.mark.parametrize(
    ("hosts", "ranks", "shown"),
    [
        ([], [], ["node1:", "node1:0", "node1:None", "node2:", "node2:2", "node2:3"]),
        (["node2"], [], ["node2:", "node2:2", "node2:3"]),
        ([], ["2-9"], ["node2:2", "node2:3"]),
        ([], ["0", "3"], ["node1:0", "node2:3"]),
        (["node2"], ["0", "3"], ["node2:3"]),
    ],
)
def test_a_choice_shows_some_output_alone(hosts, ranks, shown):
    choice = chosen.of(hosts, ranks)
    sources = ["node1:", "node1:0", "node1:None", "node2:", "node2:2", "node2:3"]

    assert [source for source in sources if choice.shows(*source.split(":"))] == shown


def test_a_spare_is_shown_in_the_place_of_the_node_that_it_replaces():
    choice = chosen.of(["node1"], []).after({"node1": "node9"})

    assert (choice.shows("node9", "0"), choice.shows("node1", "0")) == (True, False)


@pytest.mark.parametrize(
    ("hosts", "ranks", "problem"),
    [
        ([], ["0-3"], None),
        (["node2"], ["0-3"], None),
        (["node5"], [], "RUN_HOST_UNKNOWN the run has no node 'node5'; did you mean node2?"),
        (["x"], [], "RUN_HOST_UNKNOWN the run has no node 'x'; its nodes: node[1-2]"),
        ([], ["4"], "USAGE the run has no rank 4; there are ranks 0-3 on node[1-2]"),
        ([], ["2-5,9"], "USAGE the run has no ranks 4-5,9; there are ranks 0-3 on node[1-2]"),
        (["node2"], ["0-1"], "USAGE ranks 0-1 are not on node2; there are ranks 2-3 on node2"),
        (["node1"], ["3"], "USAGE rank 3 is not on node1; there are ranks 0-1 on node1"),
    ],
)
def test_a_choice_that_shows_nothing_is_refused_and_told_what_there_is(hosts, ranks, problem):
    found = chosen.problems(chosen.of(hosts, ranks), plan())

    assert [f"{one['code']} {one['message']}; {one['remedy']}" for one in found] == [problem] * (problem is not None)


def test_work_without_ranks_has_none_to_show():
    [found] = chosen.problems(chosen.of([], ["0"]), plan(shape="command"))

    assert (found["message"], found["remedy"]) == (
        "the command has no ranks to choose from",
        "choose nodes: --host node1",
    )


@pytest.mark.parametrize(
    ("hosts", "ranks", "more", "read"),
    [
        ([], [], {}, ["node1", "node2"]),
        (["node2"], [], {}, ["node2"]),
        ([], ["3"], {}, ["node2"]),
        ([], ["1-2"], {}, ["node1", "node2"]),
        ([], ["3"], {"runner": "mpirun"}, ["node1", "node2"]),
    ],
)
def test_nodes_of_which_nothing_is_shown_are_not_read(hosts, ranks, more, read):
    found = chosen.narrowed(chosen.of(hosts, ranks), plan(**more))

    assert [node["host"] for node in found["nodes"]] == read


@pytest.mark.parametrize("unknown", [{"world_size": 0, "shape": "command"}, {"nnodes": 3, "shape": "command"}])
def test_of_a_run_that_is_known_in_part_no_rank_is_refused(unknown):
    assert chosen.problems(chosen.of([], ["7"]), plan(**unknown)) == []


def test_one_rank_is_there_and_several_are():
    [only] = chosen.problems(chosen.of([], ["1"]), plan(["node1"], 1))
    [own] = chosen.problems(chosen.of(["node2"], ["0"]), plan(each=1))

    assert (only["remedy"], own["remedy"]) == ("there is rank 0 on node1", "there is rank 1 on node2")


def test_where_ranks_are_dealt_in_another_order_no_combination_is_refused():
    assert chosen.problems(chosen.of(["node2"], ["0"]), plan(runner="mpirun")) == []


@pytest.mark.parametrize(
    ("hosts", "ranks", "printed", "silent"),
    [
        ([], [], [], "the run has"),
        ([], [], [("node1", "0")], ""),
        ([], ["0-2"], [("node1", "1")], "ranks 0,2 have"),
        ([], ["3"], [], "rank 3 has"),
        ([], ["3"], [("node2", "3")], ""),
        (["node1", "node2"], [], [("node1", "")], "node2 has"),
        (["node1", "node2"], [], [], "node[1-2] have"),
        (["node2"], ["2"], [], "rank 2 has"),
        (["node2"], ["2-3"], [("node2", "3")], ""),
    ],
)
def test_who_has_printed_nothing_is_named(hosts, ranks, printed, silent):
    assert chosen.silent(chosen.of(hosts, ranks), plan(), set(printed)) == silent

# SPDX-License-Identifier: Apache-2.0
"""A plan as text."""

from ansible_collections.madctl.multinode.plugins.module_utils._show import plan_text


def node(**more):
    fields = {"node_rank": 0, "host": "gpu01", "address": "198.51.100.1", "interface": "ib0", "nproc_per_node": 2}
    return {**fields, "cwd": "/job", "env": {"A": "b c"}, "argv": [], "rank_argv": None, "model": None, **more}


def blocks(hidden, *nodes):
    """Return the lines of each block of a plan."""
    return [block.splitlines() for block in "\n".join(plan_text.whole({"nodes": nodes}, hidden)).split("\n\n")]


def test_every_node_shows_what_it_executes():
    mpi = node(argv=["mpirun", "-np", "2", "rank_wrapper.py"], rank_argv=["python", "train.py", "a b"])
    wrapped = node(argv=["madctl_node.py", "madengine_wrapper"], model={"argv": ["madengine"]})
    table, *nodes = blocks({}, mpi, node(rank_argv=["python", "x"]), wrapped)

    assert [line.split() for line in table[:2]] == [
        ["RANK", "HOST", "ADDRESS", "INTERFACE", "PROCESSES"],
        ["0", "gpu01", "198.51.100.1", "ib0", "2"],
    ]
    assert {tuple(block[:2]) for block in nodes} == {("gpu01: cd /job", "  A='b c'")}
    assert [block[2:] for block in nodes] == [
        ["  mpirun -np 2 rank_wrapper.py", "  each rank: python train.py 'a b'"],
        ["  the daemon that mpirun asks for", "  each rank: python x"],
        ["  madengine"],
    ]


def test_hidden_variables_come_first_and_those_of_the_plan_win():
    assert blocks({"TOKEN": "***", "A": "***"}, node(argv=["x"]))[1][1:] == ["  TOKEN='***'", "  A='b c'", "  x"]


def test_an_outline_has_no_words_of_the_user():
    plan = {"run_id": "r", "proof": {}, "restart": None, "hostfile": "", "work": ["x"], "nodes": [node()]}
    place = {"node_rank": 0, "host": "gpu01", "address": "198.51.100.1", "interface": "ib0", "nproc_per_node": 2}

    assert plan_text.outline(plan) == {"run_id": "r", "nodes": [{**place, "cwd": "/job"}]}

# SPDX-License-Identifier: Apache-2.0
"""A plan as text."""

import pytest

from madctl.screen.plan_text import ranks, show_plan


@pytest.mark.parametrize(
    ("counts", "expected"),
    [([8], "1 × 8"), ([2, 2], "2 × 2"), ([1, 2, 1], "2 × 1 + 1 × 2"), ([8] * 99 + [4], "99 × 8 + 1 × 4")],
)
def test_ranks_are_a_short_sum_however_many_nodes_there_are(counts, expected):
    assert ranks(counts) == expected


def node(**more):
    fields = {"node_rank": 0, "host": "gpu01", "address": "198.51.100.1", "interface": "ib0", "nproc_per_node": 2}
    return {**fields, "cwd": "/job", "env": {"A": "b c"}, "argv": [], "rank_argv": None, "model": None, **more}


def test_every_node_shows_what_it_executes(capsys):
    mpi = node(argv=["mpirun", "-np", "2", "rank_wrapper.py"], rank_argv=["python", "train.py", "a b"])
    show_plan(
        {
            "nodes": [
                mpi,
                node(rank_argv=["python", "x"]),
                node(argv=["madctl_node.py", "madengine_wrapper"], model={"argv": ["madengine"]}),
            ]
        }
    )
    blocks = capsys.readouterr().out.split("\n\n")[1:]

    assert [block.splitlines()[2:] for block in blocks] == [
        ["  mpirun -np 2 rank_wrapper.py", "  each rank: python train.py 'a b'"],
        ["  the daemon that mpirun asks for", "  each rank: python x"],
        ["  madengine"],
    ]

# SPDX-License-Identifier: Apache-2.0
"""A plan as text."""

from ansible_collections.madctl.multinode.plugins.module_utils._show import plan_text


def node(**more):
    fields = {"node_rank": 0, "host": "gpu01", "address": "198.51.100.1", "interface": "ib0", "nproc_per_node": 2}
    return {**fields, "cwd": "/job", "env": {"A": "b c"}, "argv": [], "rank_argv": None, "model": None, **more}


def blocks(hidden, *nodes):
    """Return the lines of each block of a plan."""
    return [block.splitlines() for block in "\n".join(plan_text.whole({"nodes": nodes}, hidden)).split("\n\n")]


def test_what_all_nodes_share_is_shown_once_and_then_what_differs():
    first = node(env={"A": "b c", "NODE_RANK": "0"}, argv=["torchrun", "--rank", "0", "--address=198.51.100.1"])
    second = node(node_rank=1, host="gpu02", address="198.51.100.2", env={"A": "b c", "NODE_RANK": "1"})
    second["argv"] = ["torchrun", "--rank", "1", "--address=198.51.100.2"]
    table, *rest = blocks({}, first, second)

    assert [line.split() for line in table] == [
        ["RANK", "HOST", "ADDRESS", "INTERFACE", "PROCESSES"],
        ["0", "gpu01", "198.51.100.1", "ib0", "2"],
        ["1", "gpu02", "198.51.100.2", "ib0", "2"],
    ]
    command = "  torchrun --rank RANK --address=ADDRESS"
    assert rest == [
        ["all nodes, each with its RANK and ADDRESS:", "  cd /job", "  A='b c'", "  NODE_RANK=RANK", command]
    ]
    second["env"]["ONLY"] = "here"
    assert blocks({}, first, second)[2] == ["gpu02:", "  ONLY=here"]


def test_nodes_that_differ_alike_share_their_lines():
    mpi = node(argv=["mpirun", "-np", "2", "rank_wrapper.py"], rank_argv=["python", "train.py", "a b"])
    daemons = [node(node_rank=n, host=f"gpu0{n}", argv=[], rank_argv=["python", "train.py", "a b"]) for n in (2, 3)]
    _, shared, *rest = blocks({}, mpi, *daemons)

    assert shared == ["all nodes:", "  cd /job", "  A='b c'", "  each rank: python train.py 'a b'"]
    assert rest == [
        ["gpu01:", "  mpirun -np 2 rank_wrapper.py"],
        ["gpu[02-03]:", "  the daemon that mpirun asks for"],
    ]


def test_a_value_that_only_looks_like_that_of_one_node_is_not_a_column():
    ranks = [node(node_rank=n, host=f"gpu0{n}", argv=["x", value]) for n, value in enumerate(("0", "0", "2"))]

    assert [block[0] for block in blocks({}, *ranks)[2:]] == ["gpu[00-01]:", "gpu02:"]


def test_a_single_node_has_no_second_part():
    wrapped = node(argv=["madctl_node.py", "madengine_wrapper"], model={"argv": ["madengine"]})

    assert blocks({}, wrapped)[1:] == [["gpu01:", "  cd /job", "  A='b c'", "  madengine"]]


def test_hidden_variables_come_first_and_those_of_the_plan_win():
    assert blocks({"TOKEN": "***", "A": "***"}, node(argv=["x"]))[1][2:] == ["  TOKEN='***'", "  A='b c'", "  x"]


def test_a_setup_comes_before_what_it_is_for():
    setup = {"text": "module load cuda\nx", "login": True, "seconds": 60}
    shown = "\n".join(plan_text.whole({"nodes": [node(argv=["x"])], "setup": setup}, {}))

    assert shown.split("gpu01:\n")[1].splitlines()[:2] == ["  in a login shell: $'module load cuda\\nx'", "  cd /job"]


def test_an_outline_has_no_words_of_the_user():
    plan = {
        "run_id": "r",
        "proof": {},
        "restart": None,
        "hostfile": "",
        "work": ["x"],
        "setup": None,
        "nodes": [node()],
    }
    place = {"node_rank": 0, "host": "gpu01", "address": "198.51.100.1", "interface": "ib0", "nproc_per_node": 2}

    assert plan_text.outline(plan) == {"run_id": "r", "nodes": [{**place, "cwd": "/job"}]}

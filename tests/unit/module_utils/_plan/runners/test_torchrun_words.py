# SPDX-License-Identifier: Apache-2.0
"""Torchrun's own parser leaves the words of the work alone."""

import importlib.util

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._plan import planner
from ansible_collections.madctl.multinode.plugins.module_utils._request.request import Request
from tests.unit.module_utils import healthy_facts

OPTIONS = [
    "--m",
    "4096",
    "--log=info",
    "--n",
    "1",
    "--node",
    "x",
    "--max",
    "3",
    "-m",
    "--",
    "--rdzv",
    "--nproc",
    "--standalone",
]


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
def test_options_of_the_work_are_not_torchrun_s():
    from torch.distributed.run import parse_args

    request = Request("r", ("bench.py", *OPTIONS))
    plan = planner.make(request, ["n1", "n2"], [healthy_facts.node(1), healthy_facts.node(2)]).plan
    found = parse_args(plan["nodes"][1]["argv"][3:])

    assert found.node_rank == 1
    assert found.training_script_args[-1 - len(OPTIONS) :] == ["bench.py", *OPTIONS]

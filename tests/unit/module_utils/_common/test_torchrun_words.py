# SPDX-License-Identifier: Apache-2.0
"""Torchrun's own parser leaves the words of the work alone."""

import importlib.util

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import command_line

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

    rendezvous = dict.fromkeys(("addr", "id", "log_dir", "local_addr"), "x")
    runner = command_line.torchrun_argv({**rendezvous, "port": "1"}, 2, 0, 1, "python3", ["--", "bench.py", *OPTIONS])
    found = parse_args(runner[3:])

    assert (found.training_script, found.training_script_args) == ("bench.py", OPTIONS)

# SPDX-License-Identifier: Apache-2.0
"""Who sees that a run is in a scheduler's job: ranks do, and mpirun and its daemons do not."""

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._supervise import rank_wrapper, runner_processes

SEEN = {"SLURM_JOB_ID": "7", "SLURMD_NODENAME": "a", "PATH": "/bin", "MY_SLURM": "x"}


def test_ranks_get_what_mpirun_and_its_daemons_do_not_see():
    found = runner_processes.environment({"mpi": {"many": False}, "env": SEEN})
    assert {name for name in found if name.startswith("SLURM")} == set()

    rank_wrapper.give_back(found)
    assert found == SEEN


@pytest.mark.parametrize("mpi", [None, {"many": True}], ids=["without MPI", "a script that calls mpirun"])
def test_whatever_else_is_started_sees_the_job(mpi):
    assert runner_processes.environment({"mpi": mpi, "env": SEEN}) == SEEN

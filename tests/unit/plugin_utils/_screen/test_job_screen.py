# SPDX-License-Identifier: Apache-2.0
"""Remedies about a run in a job name its output as it is found on the login node."""

import pytest

from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import job_screen

LOGS = "ansible-playbook madctl.multinode.logs -e madctl_on=slurm -e madctl_run_root='/my runs' -e madctl_run_id=r1"


@pytest.mark.parametrize(
    ("remedy", "told"),
    [
        ("see madctl logs r1 --host gpu02", f"see {LOGS} -e madctl_show_hosts=gpu02"),
        ("see madctl logs r1 --rank 3", f"see {LOGS} -e madctl_show_ranks=3"),
        ("see madctl logs r1", f"see {LOGS}"),
        ("submit it again", "submit it again"),
        (None, None),
    ],
)
def test_the_output_of_a_run_is_pointed_to(remedy, told):
    problem = {"code": "RANK_FAILED", "host": "gpu02", "message": "x", "remedy": remedy}

    screen = job_screen.JobScreen("/my runs")

    assert job_screen.pointed([problem], screen.logs_of) == [{**problem, "remedy": told}]

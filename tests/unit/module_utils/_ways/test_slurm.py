# SPDX-License-Identifier: Apache-2.0
"""What a job reads from Slurm's own words about the site."""

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._ways import slurm

CONFIG = """\
KillWait                = 30 sec
SrunPortRange           = {}
SwitchType              = switch/none
"""


@pytest.mark.parametrize(
    ("said", "ports"),
    [
        ("60001-60004", [60001, 60002, 60003, 60004]),
        ("0-0", [0]),
        ("(null)", [0]),
        ("65534-70000", [65534, 65535]),
        ("9-1", [0]),
    ],
)
def test_nodes_may_dial_the_ports_that_the_site_names(said, ports):
    assert list(slurm.ports(CONFIG.format(said))) == ports


def test_a_site_that_names_no_ports_lets_nodes_dial_any():
    assert list(slurm.ports("")) == [0]


def test_a_later_version_sets_more_that_is_of_the_step_and_none_of_it_reaches_ranks_or_another_srun():
    found = {"SLURM_OOM_KILL_STEP": "0", "SLURM_KILL_BAD_EXIT": "1", "SLURM_JOB_ID": "7"}

    assert set(slurm.without(found)) == {"SLURM_JOB_ID"}
    assert "SLURM_OOM_KILL_STEP" not in slurm.without(found, slurm._OF_STEP)

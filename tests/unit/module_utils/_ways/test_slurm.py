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

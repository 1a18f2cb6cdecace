# SPDX-License-Identifier: Apache-2.0
"""Every line of ansible-core that is declared, with the tarball alone in an empty tree, launches a real job."""

import json
import subprocess
import sys

import pytest
import yaml

from tests.integration import alone
from tests.integration.conftest import JOBS

pytestmark = pytest.mark.lab


@pytest.mark.parametrize(("core", "version"), alone.PYTHONS.items())
def test_a_job_on_two_nodes_with_the_tarball_alone(core, version, lab, tarball, tmp_path):
    if alone.python(core) is None:
        pytest.skip(f"no Python {version} here: ansible-core {core} is not tested")
    alone.install(core, tarball, tmp_path)
    packages = [str(alone.environment(core) / "pip"), "list", "--format", "json"]
    names = {entry["name"]: entry["version"] for entry in json.loads(subprocess.check_output(packages))}
    # On the command line all is text; in a file it is what it is.
    words = ["-e", f"madctl_python={sys.executable} madctl_nproc_per_node=2 madctl_work={JOBS / 'report.py'}"]
    done = alone.play(
        core, tmp_path, "madctl.multinode.launch", "-i", alone.inventory(lab), "--limit", "node1,node3", *words
    )

    assert "madctl" not in names
    assert names["ansible-core"].startswith(f"{core}.")
    assert done.code == 0, done.all
    reports = [json.loads(line.partition("REPORT ")[2]) for line in done.out.splitlines() if "REPORT " in line]
    assert sorted(report["rank"] for report in reports) == ["0", "1", "2", "3"]
    assert {report["env"]["NCCL_SOCKET_IFNAME"] for report in reports} == {"ens14np0", "ib0"}
    assert "2 × 2 = 4 ranks on ens14np0, ib0, master " in done.out
    assert " on 2 nodes, 4 of 4 ranks joined" in done.out


def test_what_is_declared_is_what_is_tested():
    declared = yaml.safe_load((alone.ROOT / "meta/runtime.yml").read_text())["requires_ansible"]

    assert declared == ">=2.17.0,<2.20.0"
    assert list(alone.PYTHONS) == ["2.17", "2.18", "2.19"]

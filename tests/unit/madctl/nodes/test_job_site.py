# SPDX-License-Identifier: Apache-2.0
"""Where a job of Slurm is submitted, and where its directory is."""

from pathlib import Path

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._job import run_root
from madctl import cli
from madctl.errors import UsageError
from madctl.nodes import job_site

HOME = Path("/home/me")


def site(*words):
    return job_site.of(cli.parsed(["launch", "--on", "slurm", "--nodes", "2", *words, "train.py"]))


@pytest.fixture
def home_on(monkeypatch):
    def on(fstype):
        monkeypatch.setenv("HOME", str(HOME))
        monkeypatch.setattr(run_root, "storage", lambda path: run_root.Storage(path, fstype))

    return on


def test_a_home_on_a_network_file_system_is_where_runs_are_by_default(home_on, monkeypatch):
    home_on("lustre")
    monkeypatch.setenv("SLURM_CONF", "/etc/own.conf")

    assert site() == (HOME / ".madctl/runs", "/etc/own.conf")
    assert site("--run-root", "/scratch/me").root == Path("/scratch/me")


@pytest.mark.parametrize(("fstype", "shown"), [("xfs", "on xfs"), ("", "on a file system of unknown type")])
def test_a_home_that_may_be_local_is_refused_with_the_reason(home_on, fstype, shown):
    home_on(fstype)
    with pytest.raises(UsageError) as caught:
        site()

    (problem,) = caught.value.problems
    assert f"{HOME}/.madctl/runs is {shown}" in problem.message and problem.remedy == "add --run-root PATH"
    assert site("--run-root", "/scratch/me").root == Path("/scratch/me")

# SPDX-License-Identifier: Apache-2.0
"""Runs that another version of madctl started, whose programs on nodes are not ours, are managed as our own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.command import JOBS, madctl, wait_for
from tests.integration.host_processes import left_behind

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("own_records")]
ROOT = Path(__file__).parents[2]
JOB = ("--command", "--", "sh", "-c", "echo waiting; sleep 300")


@pytest.fixture
def other(tmp_path):
    """Give the command line of a madctl that differs, also in what its supervisor runs."""
    own = tmp_path / "ansible_collections/madctl/multinode"
    leave = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "madctl", tmp_path / "madctl", ignore=leave)
    for name in ("meta", "playbooks", "plugins", "roles"):
        shutil.copytree(ROOT / name, own / name, ignore=leave)
    with (own / "plugins/module_utils/_supervise/supervisor.py").open("a") as program:
        program.write("\n# Another version.\n")
    return [sys.executable, "-m", "madctl"], {**os.environ, "PYTHONPATH": str(tmp_path)}


def programs(on, run_id):
    return on("node1", "readlink", f"/var/tmp/madctl-0/{run_id}/bin").strip()


def test_a_run_of_another_version_is_managed(lab, on, launch, other):
    argv, environment = other
    words = ["launch", "--lab", lab.name, "--hosts", "node1,node2", "--detach", "--output", "json", *JOB]
    launched = subprocess.run([*argv, *words], cwd=JOBS, env=environment, capture_output=True, text=True, timeout=300)
    assert launched.returncode == 0, launched.stderr
    status = madctl("status", "--output", "json")
    run_id = status.json["run_id"]
    theirs = programs(on, run_id)
    wait_for(lambda: len(madctl("logs", "--output", "jsonl").lines) == 2)
    logs = madctl("logs", "--output", "jsonl")
    cleaned = madctl("gc", "--days", "0", "--lab", lab.name)
    on("node1", "test", "-d", f"/var/tmp/madctl-0/{run_id}/bin/")
    stopped = madctl("stop", "--output", "json")
    attached = madctl("attach", "--output", "json")
    ours = launch("--command", "--", "true")

    assert [node["state"] for node in status.json["data"]["nodes"]] == ["running", "running"]
    assert {(line["host"], line["text"]) for line in logs.lines} == {("node1", "waiting"), ("node2", "waiting")}
    assert cleaned.code == 0, cleaned.err
    assert (stopped.code, stopped.json["data"]["stopped"]) == (0, ["node1", "node2"])
    assert (attached.code, attached.codes) == (130, ["RUN_STOPPED"])
    assert left_behind(lab) == []
    assert theirs != programs(on, ours.json["run_id"]), "the test has not changed what nodes run"

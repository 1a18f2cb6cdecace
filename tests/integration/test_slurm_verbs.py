# SPDX-License-Identifier: Apache-2.0
"""Check, collect and gc of runs in jobs of a real Slurm, and where the directories of runs may be."""

import os
import shutil
import signal
import subprocess

import pytest

from tests.integration import slurm_site
from tests.integration.command import JOBS, MADCTL, madctl
from tests.integration.host_processes import on_host
from tests.integration.slurm_site import ALL, ALONE

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="the lab needs root"),
    pytest.mark.skipif(shutil.which("slurmctld") is None, reason="there is no Slurm here"),
]


@pytest.fixture(scope="module")
def site():
    with slurm_site.running() as found:
        yield found


@pytest.fixture(autouse=True)
def nothing_left(site, own_records):
    """Hold after every test that nothing is left of it."""
    yield
    slurm_site.clear(site)


def check(site, *words, nodes=ALL, **more):
    return site.run("check", *site.options(nodes), "--output", "json", *words, **more)


def runs_of(site):
    """Return the directories of runs and of checks."""
    return {path.name for path in site.runs.iterdir() if not path.name.startswith("job-bin-")}


# -- check -----------------------------------------------------------------------------------------


def test_a_check_in_a_job_is_a_check_and_leaves_nothing(site):
    before = runs_of(site)
    done = check(site, "--command", "--", "hostname")
    over_ssh = madctl("check", "--lab", site.lab.name, "--output", "json", "--command", "--", "hostname")

    assert (done.code, done.json["status"], done.json["command"]) == (0, "passed", "check"), done.err
    found, other = done.json, over_ssh.json
    assert found.keys() == other.keys() and found["run_id"] is None
    assert [node["host"] for node in found["data"]["nodes"]] == ["node1", "node2", "node3"]
    for node, same in zip(found["data"]["nodes"], other["data"]["nodes"], strict=True):
        # Slurm decides who has a node.
        assert {**node["checks"], "machine": "ok"} == same["checks"]
        assert node.keys() == same.keys() and node["addresses"] and node["fingerprint"]
    assert [entry["code"] for entry in found["warnings"]] == [entry["code"] for entry in other["warnings"]]
    assert runs_of(site) == before and madctl("ps", "--output", "json").json["data"]["runs"] == []
    (limit,) = {site.slurm("squeue", "-h", "-t", "all", "-o", "%l %T").split("\n")[0].split()[0]}
    assert limit == "10:00"


def test_a_check_in_a_job_finds_what_a_check_finds(site):
    on_host(site.lab, "node2", "mount", "-t", "tmpfs", "none", "/mnt")
    try:
        done = check(site, "--shared-path", "/mnt", "--command", "--", "true")
    finally:
        on_host(site.lab, "node2", "umount", "/mnt")
    refused = check(site, "--interface", "10.99.0.0/24", "--only", "network", "--command", "--", "true")
    shown = site.run("check", *site.options(), "--explain", "network", "--command", "--", "true")

    assert done.code == 3 and done.codes and all("STORAGE" in code or "MOUNT" in code for code in done.codes), done.err
    assert {node["checks"]["storage"] for node in done.json["data"]["nodes"]} == {"FAIL"}
    assert refused.code == 3 and set(refused.codes) == {"INTERFACE_UNKNOWN"}
    assert shown.code == 0 and shown.out.startswith("NODE ") and "10." in shown.out.partition("\n\n")[2], shown.out


def test_ctrl_c_takes_a_check_that_waits_out_of_the_queue(site):
    before = runs_of(site)
    other = site.launch("--detach", *ALONE, "--command", "--", "sleep", "300")
    argv = [str(MADCTL), "check", *site.options(), *ALONE, "--command", "--", "true"]
    waiting = subprocess.Popen(argv, cwd=JOBS, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines = []
    while not any("Resources" in line or "Priority" in line for line in lines):
        lines.append(waiting.stderr.readline())
        assert lines[-1], lines
    waiting.send_signal(signal.SIGINT)
    _, said = waiting.communicate(timeout=60)

    assert waiting.returncode == 130 and "[INTERRUPTED]" in said, said
    assert site.jobs() == [site.job_of(other.json["run_id"])]
    assert runs_of(site) == before | {other.json["run_id"]}


def test_a_check_that_is_ended_cancels_its_job(site):
    before = runs_of(site)
    other = site.launch("--detach", *ALONE, "--command", "--", "sleep", "300")
    argv = [str(MADCTL), "check", *site.options(), *ALONE, "--command", "--", "true"]
    waiting = subprocess.Popen(argv, cwd=JOBS, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert "submitted as job" in waiting.stderr.readline()
    waiting.terminate()
    waiting.communicate(timeout=60)

    assert waiting.returncode == 143
    assert site.jobs() == [site.job_of(other.json["run_id"])]
    assert runs_of(site) == before | {other.json["run_id"]}


def test_a_dry_check_asks_this_machine_only(site):
    done = check(site, "--dry-run", "--command", "--", "true")
    shown = site.run("check", *site.options(), "--dry-run", "train.py")
    refused = check(site, "--dry-run", "--partition", "none", "--command", "--", "true")

    data = done.json["data"]
    assert done.code == 0 and data["version"].startswith("slurm") and data["sbatch"] == shutil.which("sbatch")
    assert data["run_root"]["path"] == str(site.runs) and "to start at" in data["remarks"][0]
    assert [entry["code"] for entry in done.json["warnings"]] == ["RUN_ROOT_LOCAL"]
    assert shown.code == 0 and shown.out.startswith("slurm   slurm"), shown.out
    assert refused.code == 2 and refused.codes == ["SCHEDULER_REFUSED"]
    assert site.jobs() == []


# -- the directory of runs, and the machine --------------------------------------------------------


@pytest.mark.parametrize("command", ["launch", "check"])
def test_without_slurm_here_nothing_is_written(site, command, tmp_path):
    words = [*site.options(), "--run-root", str(tmp_path / "runs"), "--output", "json", "--command", "--", "true"]
    done = site.run(command, *words, env={"PATH": str(MADCTL.parent)})

    assert (done.code, done.codes) == (2, ["SCHEDULER_MISSING"]) and not (tmp_path / "runs").exists(), done.err


@pytest.mark.parametrize("command", ["launch", "check"])
def test_a_home_that_nodes_may_not_see_is_no_place_for_runs(command, tmp_path):
    words = ["--on", "slurm", "--nodes", "2", "--output", "json", "--command", "--", "true"]
    done = madctl(command, *words, env={"HOME": str(tmp_path)})

    assert (done.code, done.codes) == (2, ["USAGE"])
    assert f"{tmp_path}/.madctl/runs is on " in done.json["errors"][0]["message"]
    assert done.json["errors"][0]["remedy"] == "add --run-root PATH"


@pytest.mark.parametrize("command", ["launch", "check"])
def test_a_directory_that_one_node_does_not_see_is_told_at_once_with_its_node(site, command):
    root = site.runs / "unshared"
    root.mkdir()
    on_host(site.lab, "node2", "mount", "-t", "tmpfs", "none", str(root))
    try:
        words = [*site.options(), "--run-root", str(root), "--output", "json", "--command", "--", "true"]
        done = site.run(command, *words, timeout=60)
    finally:
        on_host(site.lab, "node2", "umount", str(root))
        shutil.rmtree(root)

    assert (done.code, done.codes) == (5, ["NODE_NOT_READY"]), done.err
    (error,) = done.json["errors"]
    assert error["host"] == "node2" and "--run-root" in error["remedy"], error

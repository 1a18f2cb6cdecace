# SPDX-License-Identifier: Apache-2.0
"""mpirun, madengine and restarts inside of jobs of a real Slurm: they behave as over SSH, and Slurm stays out of it."""

import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from madctl.lab import power, state
from tests.integration import slurm_site
from tests.integration.command import JOBS, wait_for
from tests.integration.host_processes import on_host, sleepers
from tests.integration.mpi_flavours import FLAVOURS, both_kinds, every_kind, map_of, one_kind, options
from tests.integration.slurm_site import ALL, read_lines

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
    """Hold after every test that nothing is left of it, marked or not."""
    yield
    slurm_site.clear(site)
    assert sleepers(site.lab) == []


# -- mpirun ----------------------------------------------------------------------------------------


@pytest.fixture
def mpirun(site):
    """Launch under mpirun in a job and give what became of it."""

    def run(mpi, *words, **more):
        return site.launch("--python", mpi["python"], *options(mpi), *words, **more)

    return run


@every_kind
def test_ranks_reduce_and_know_the_job_of_which_mpirun_sees_nothing(site, mpirun, mpi):
    done = mpirun(mpi, "--", "mpi_in_job.py")

    assert done.code == 0, done.err
    job_id = site.job_of(done.json["run_id"])
    found = sorted(re.findall(r"rank (\d) on (\S+): sum 6, job (\S*), above (\S+)", done.err))
    own = [(str(rank), f"node{rank + 1}", job_id) for rank in range(ALL)]
    assert [entry[:3] for entry in found] == own, done.err
    programs = {entry[3].partition("=")[0] for entry in found}
    assert mpi["daemon"] in programs and {entry[3].partition("=")[2] for entry in found} == {"[]"}, found


@both_kinds
def test_a_script_calls_mpirun_that_does_not_ask_slurm(mpirun, mpi):
    script = 'cd "$0"; echo "job $SLURM_JOB_ID"; $MAD_MULTI_NODE_RUNNER mpi_reduce.py && $MAD_MULTI_NODE_RUNNER mpi_reduce.py'
    done = mpirun(mpi, "--command", "--", "bash", "-c", script, str(JOBS))

    assert done.code == 0, done.err
    expected = [(rank, ALL, f"node{rank + 1}", 6) for rank in range(ALL) for _ in range(2)]
    assert [entry[:4] for entry in map_of(done)] == expected
    assert re.search(r"job \d", done.err)


@both_kinds
def test_the_rank_that_failed_is_named(mpirun, mpi):
    done = mpirun(mpi, "--nproc-per-node", "2", "--", "fail.py", "3")

    first = done.json["errors"][0]
    found = (done.code, first["code"], first["host"], first["rank"], first["exit_code"])
    assert found == (6, "RANK_FAILED", "node2", 3, 7), done.err
    assert "giving up" in done.err.split("last lines of node2 rank 3:")[1]


@pytest.fixture
def strayed(site, mpirun):
    """Start ranks that have processes of their own without a mark, and give the id of the run."""

    def run(mpi):
        done = mpirun(mpi, "--detach", "--", "stray.py", "bare")
        assert (done.code, done.json["status"]) == (0, "queued"), done.err
        run_id = done.json["run_id"]
        wait_for(lambda: site.run("logs", run_id).out.count("strayed") == ALL)
        return run_id

    return run


@one_kind
def test_stop_ends_every_rank(site, strayed, mpi):
    run_id = strayed(mpi)
    stopped = site.run("stop", "--output", "json")

    assert stopped.code == 0 and stopped.json["status"] == "stopped", stopped.err
    assert site.state(site.job_of(run_id)) == "CANCELLED"
    assert sleepers(site.lab) == []


@one_kind
def test_a_job_that_slurm_cancels_is_no_failure_of_a_rank(site, strayed, mpi):
    site.slurm("scancel", site.job_of(strayed(mpi)))
    done = site.run("attach", "--output", "json")

    assert (done.code, done.codes) == (130, ["RUN_STOPPED"]), done.err
    assert done.json["errors"][0]["message"] == "the job was cancelled in Slurm"


@both_kinds
def test_a_daemon_that_is_killed_ends_the_run(site, strayed, mpi):
    strayed(mpi)
    on_host(site.lab, "node2", "sh", "-c", f"kill -9 $(pgrep -o {mpi['daemon'][:15]})")
    done = site.run("attach", "--output", "json")

    assert done.code == 6 and done.json["errors"][0]["message"].startswith("its MPI daemon failed: "), done.err
    assert done.json["errors"][0]["host"] == "node2"


@pytest.fixture
def tracking():
    """A site whose Slurm tracks processes by cgroups, as clusters do, so that its signals reach only what it started."""
    with slurm_site.running(2, "cgroup") as found:
        yield found


def test_no_rank_is_left_where_slurms_signals_reach_neither_mpirun_nor_daemons(tracking):
    for mpi in (FLAVOURS["openmpi4"], FLAVOURS["mpich4"]):
        run = ["--python", mpi["python"], *options(mpi), "--", "stray.py", "bare"]
        launch = tracking.begin(*run, nodes=2)
        read_lines(launch, "strayed", 2)
        tracking.slurm("scancel", tracking.jobs()[0])
        _, said = launch.communicate(timeout=120)

        assert launch.returncode == 130 and "the job was cancelled in Slurm" in said, said
        slurm_site.clear(tracking)
        assert sleepers(tracking.lab) == []


# -- models ----------------------------------------------------------------------------------------


STANDIN = Path(__file__).parent / "standin"
MODELS = {
    "good": "case $(hostname) in node1) echo performance: 42.5 tokens/s ;; esac",
    "late": "case $(hostname) in node1) sleep 300 ;; *) exit 5 ;; esac",
    "slow": "sleep 300",
}


@pytest.fixture(scope="module")
def checkout(site):
    """A checkout on shared storage, and on two nodes the stand-ins of which ``test_madengine`` tells."""
    place = Path(site.lab.shared) / "models"
    place.mkdir()
    for name, script in MODELS.items():
        (place / f"{name}.sh").write_text(script)
    (place / "models.json").write_text(
        json.dumps([{"name": name, "tags": [], "scripts": f"{name}.sh"} for name in MODELS])
    )
    for host in ("node1", "node2"):
        for program in ("madengine", "docker"):
            install = f"cat > /usr/local/bin/{program}; chmod 755 /usr/local/bin/{program}"
            on_host(site.lab, host, "sh", "-c", install, text=(STANDIN / program).read_text())
        quiet = "printf '#!/bin/sh\\necho WARNING: No JSON data to report\\n' > /usr/local/bin/rocm-smi; chmod 755 /usr/local/bin/rocm-smi"
        on_host(site.lab, host, "sh", "-c", quiet)
    return str(place)


@pytest.fixture
def models(site, checkout):
    """Launch models in a job of two nodes and give what became of them."""

    def launch(*words, **more):
        return site.launch("--nodelist", "node[1-2]", "--chdir", checkout, *words, nodes=2, **more)

    return launch


def containers(site):
    listed = "docker ps --all --format '{{.Names}}' | grep . || true"
    return [on_host(site.lab, host, "sh", "-c", listed).stdout.strip() for host in ("node1", "node2")]


def contexts(done):
    found = [json.loads(text) for text in re.findall(r"CONTEXT (\{.*\})", done.err)]
    return sorted(found, key=lambda context: context["multi_node_args"]["NODE_RANK"])


def test_models_get_ranks_and_the_first_nodes_result_counts(site, models, tmp_path):
    (tmp_path / "context.json").write_text(json.dumps({"gpu_vendor": "AMD", "deep": {"file": 1}}))
    context = ["--additional-context-file", str(tmp_path / "context.json")]
    done = models("--tags", "good", *context, "--additional-context", "{'deep': {'word': 2}}")

    assert done.code == 0, done.err
    address = site.lab.host("node1").data_address
    for rank, context in enumerate(contexts(done)):
        args = context["multi_node_args"]
        assert (args["NNODES"], args["NODE_RANK"], args["MASTER_ADDR"]) == (2, rank, address)
        assert (context["gpu_vendor"], context["deep"]) == ("AMD", {"file": 1, "word": 2})
    nodes = done.json["data"]["nodes"]
    assert [row["status"] for node in nodes for row in node["models"]] == ["SUCCESS", "FAILURE"]
    assert nodes[0]["models"][0]["performance"] == "42.5"
    assert "Credentials: " in done.err and "hunter2" not in done.err + done.out
    assert containers(site) == ["", ""]


def test_a_model_that_fails_is_named(models):
    done = models("--tags", "late")

    assert (done.code, done.codes) == (6, ["MODEL_FAILED"]), done.err
    assert done.json["errors"][0]["host"] == "node2"
    assert done.json["errors"][0]["message"].startswith("model late: FAILURE")


@pytest.mark.parametrize("by_slurm", [False, True], ids=["stop", "scancel"])
def test_no_container_is_left_of_a_model_that_is_stopped(site, models, by_slurm):
    run_id = models("--detach", "--tags", "slow").json["run_id"]

    def have_started():
        found, status = containers(site), site.run("status", run_id)
        assert not status.out.startswith("failed"), status.out
        return found == ["container_slow_slow"] * 2

    wait_for(have_started, 180)
    if by_slurm:
        site.slurm("scancel", site.job_of(run_id))
    else:
        assert site.run("stop").code == 0
    done = site.run("attach", "--output", "json")

    assert (done.code, done.codes) == (130, ["RUN_STOPPED"]), done.err
    assert containers(site) == ["", ""]


# -- restarts --------------------------------------------------------------------------------------


AGAIN = "case $MADCTL_RUN_ID in *.1) echo again;; *) test $NODE_RANK != 1 || exit 3; sleep 60;; esac"


def test_a_run_that_fails_is_restarted_in_its_job(site):
    done = site.launch("--max-restarts", "1", "--nnodes", "2", "--command", "--", "sh", "-c", AGAIN)

    assert done.code == 0, done.err
    assert [node["host"] for node in done.json["data"]["nodes"]] == ["node1", "node2"]
    assert done.err.count("│ again") == 2 and "restart 1 of 1: attempt 1 failed: node2" in done.err
    for _ in range(2):
        assert site.run("logs").out.count("│ again") == 2
        assert site.run("attach", "--output", "json").json["data"]["attempts"] == 2
    assert site.run("status").out.startswith("succeeded after ")


@pytest.mark.long
def test_a_spare_of_the_job_takes_the_place_of_a_node_that_is_lost(site):
    """While nobody but the job itself follows the run. The last test: node2 does not come back."""
    words = ["--detach", "--nnodes", "2", "--max-restarts", "1", "--python", sys.executable]
    done = site.launch(*words, "--", "second.py", "/dev/null")
    assert (done.code, done.json["status"]) == (0, "queued"), done.err

    def status():
        return site.run("status", "--output", "json").json["data"]

    wait_for(lambda: status()["run"]["ranks_joined"] == 2, 200)
    assert [node["host"] for node in status()["nodes"]] == ["node1", "node2"]
    power.power_off(state.load(site.lab.name).host("node2"))
    wait_for(lambda: status()["run"]["status"] != "running", 200)

    found = status()
    assert (found["run"]["status"], found["run"]["attempts"]) == ("succeeded", 2), found
    assert [(node["host"], node["state"]) for node in found["nodes"]] == [("node1", "exited"), ("node3", "exited")]
    assert site.run("logs", "--host", "node3").out.count("this time") == 1
    again = site.run("attach", "--output", "json")
    assert again.code == 0 and "node3 replaces node2" in again.err and again.err.count("this time") == 2

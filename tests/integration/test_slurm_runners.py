# SPDX-License-Identifier: Apache-2.0
"""mpirun, madengine and restarts inside of jobs of a real Slurm: they behave as over SSH, and Slurm stays out of it."""

import json
import os
import re
import shutil

import pytest

from tests.integration import slurm_site
from tests.integration.command import JOBS, wait_for
from tests.integration.host_processes import on_host, sleepers
from tests.integration.slurm_site import ALL
from tests.integration.test_mpi import FLAVOURS, both_kinds, every_mpi, map_of, options

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


@every_mpi
def test_ranks_reduce_and_know_the_job_of_which_mpirun_sees_nothing(site, mpirun, mpi):
    done = mpirun(mpi, "--", "mpi_in_job.py")

    assert done.code == 0, done.err
    job_id = site.job_of(done.json["run_id"])
    found = sorted(re.findall(r"rank (\d) on (\S+): sum 6, job (\S*), above (\S+)", done.err))
    own = [(str(rank), f"node{rank + 1}", job_id) for rank in range(ALL)]
    assert [entry[:3] for entry in found] == own, done.err
    programs = {entry[3].partition("=")[0] for entry in found}
    assert mpi["daemon"] in programs and {entry[3].partition("=")[2] for entry in found} == {"[]"}, found


@every_mpi
def test_a_script_calls_mpirun_that_does_not_ask_slurm(mpirun, mpi):
    script = 'cd "$0"; echo "job $SLURM_JOB_ID"; $MAD_MULTI_NODE_RUNNER mpi_reduce.py && $MAD_MULTI_NODE_RUNNER mpi_reduce.py'
    done = mpirun(mpi, "--command", "--", "bash", "-c", script, str(JOBS))

    assert done.code == 0, done.err
    expected = [(rank, ALL, f"node{rank + 1}", 6) for rank in range(ALL) for _ in range(2)]
    assert [entry[:4] for entry in map_of(done)] == expected
    assert re.search(r"job \d", done.err)


@every_mpi
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


@every_mpi
def test_stop_ends_every_rank(site, strayed, mpi):
    run_id = strayed(mpi)
    stopped = site.run("stop", "--output", "json")

    assert stopped.code == 0 and stopped.json["status"] == "stopped", stopped.err
    assert site.state(site.job_of(run_id)) == "CANCELLED"
    assert sleepers(site.lab) == []


@both_kinds
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

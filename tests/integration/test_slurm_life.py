# SPDX-License-Identifier: Apache-2.0
"""What happens to a job of a real Slurm while it runs: preemption, limits, suspension, signals, a controller that is away."""

import contextlib
import os
import shutil
import subprocess
import sys
import time

import pytest

from tests.integration import slurm_site
from tests.integration.command import MADCTL, wait_for
from tests.integration.slurm_site import ALONE, ORDERLY, read_lines

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="the lab needs root"),
    pytest.mark.skipif(shutil.which("slurmctld") is None, reason="there is no Slurm here"),
]

NODES = 2
# Jobs in the partition "high" take the nodes of others, which end or wait again.
MORE = (
    "PreemptType=preempt/partition_prio",
    "PreemptMode=REQUEUE",
    "PartitionName=low Nodes=ALL PriorityTier=1 PreemptMode=CANCEL MaxTime=INFINITE",
    "PartitionName=again Nodes=ALL PriorityTier=1 PreemptMode=REQUEUE MaxTime=INFINITE",
    "PartitionName=high Nodes=ALL PriorityTier=10 PreemptMode=OFF MaxTime=INFINITE",
)


@pytest.fixture(scope="module")
def site():
    with slurm_site.running(NODES, more=MORE) as found:
        yield found


@pytest.fixture(autouse=True)
def nothing_left(site, own_records):
    """Hold after every test that nothing is left of it."""
    yield
    slurm_site.clear(site)


@pytest.fixture
def left(site):
    """Leave a run in its job, and return its id once it runs on all nodes."""

    def begin(*words, script=ORDERLY):
        done = site.launch("--detach", *ALONE, *words, "--command", "--", "bash", "-c", script, nodes=NODES)
        assert done.code == 0, done.err
        wait_for(lambda: site.run("logs", done.json["run_id"]).out.count("waiting") == NODES)
        return done.json["run_id"]

    return begin


def preempt(site):
    site.slurm("sbatch", "-p", "high", f"-N{NODES}", "--gpus-per-node=2", "--output=/dev/null", "--wrap=sleep 1")


def status(site, run_id):
    return site.run("status", run_id, "--output", "json").json["data"]


# -- ends ------------------------------------------------------------------------------------------


def test_a_job_that_another_one_ends_was_preempted(site, left):
    run_id = left("--partition", "low")
    preempt(site)
    done = site.run("attach", "--output", "json")

    assert (done.code, done.codes) == (7, ["RUN_PREEMPTED"]), done.err
    assert done.err.count("orderly") == NODES
    assert (status(site, run_id)["run"]["status"], status(site, run_id)["run"]["exit_code"]) == ("failed", 7)


def test_a_job_is_not_requeued_unless_its_user_wants_that(site, left):
    run_id = left("--partition", "again")
    refused = site.slurm("scontrol", "requeue", site.job_of(run_id))
    assert site.state(site.job_of(run_id)) == "RUNNING", refused
    preempt(site)
    done = site.run("attach", "--output", "json")

    assert (done.code, done.codes) == (7, ["RUN_PREEMPTED"]), done.err


def test_a_job_at_its_time_limit_ends_in_order_and_says_so(site, left):
    run_id = left("--time", "60")
    # Slurm looks at limits twice a minute, and takes no time that has passed.
    update = ("scontrol", "update", f"job={site.job_of(run_id)}", "EndTime=now+2")
    wait_for(lambda: site.is_accepted(*update))
    done = site.run("attach", "--output", "json")

    assert (done.code, done.codes) == (8, ["TIMED_OUT"]), done.err
    assert done.json["errors"][0]["message"] == "the time limit of the job was reached (TimeLimit)"
    assert done.err.count("orderly") == NODES
    assert [node["exit"]["stopped"] for node in status(site, run_id)["nodes"]] == [True] * NODES


def test_what_slurm_has_forgotten_is_known_by_its_files(site, left):
    site.reconfigure("MinJobAge=300", "MinJobAge=2")
    try:
        cancelled = left()
        site.slurm("scancel", site.job_of(cancelled))
        wait_for(lambda: site.state(site.job_of(cancelled)) != "RUNNING")
        killed = left()
        site.kill_conductor(killed)
        # An empty answer is that it knows no such job.
        wait_for(lambda: [site.state(site.job_of(one)) for one in (cancelled, killed)] == ["", ""])
        wait_for(lambda: status(site, killed)["run"]["status"] != "running")
        first, second = status(site, cancelled)["run"], status(site, killed)["run"]
    finally:
        site.reconfigure("MinJobAge=2", "MinJobAge=300")

    assert (first["status"], first["exit_code"]) == ("stopped", 130)
    assert (second["status"], second["exit_code"]) == ("failed", 7), second
    assert "madctl's own program on the first node" in second["cause"]


# -- requeue ---------------------------------------------------------------------------------------

TWICE = """\
trap 'trap "" TERM; echo orderly; exit 0' TERM
echo waiting $MADCTL_RESTART_COUNT
[ $MADCTL_RESTART_COUNT = 1 ] && exit 0
while :; do sleep 0.1; done
"""


def test_a_requeued_run_goes_on_and_all_its_attempts_are_kept(site, left):
    launch = site.begin(
        "--partition",
        "again",
        "--requeue",
        *ALONE,
        "--env",
        "KEPT=s3cret-value",
        "--command",
        "--",
        "bash",
        "-c",
        TWICE,
        nodes=NODES,
    )
    read_lines(launch, "waiting 0", NODES)
    (job_id,) = site.jobs()
    preempt(site)
    wait_for(lambda: site.state(job_id) == "PENDING")
    run_id = site.run("ps", "--output", "json").json["data"]["runs"][0]["run_id"]
    request = site.place(run_id) / "request.json"
    # Slurm says why it waits when it next looks at its queue.
    wait_for(lambda: (status(site, run_id)["run"]["cause"] or "").startswith("BeginTime, may start at "))
    waits = status(site, run_id)
    assert waits["run"]["status"] == "queued", waits
    assert [one["cause"] for one in waits["earlier"]] == ["requeued by Slurm"]
    assert request.stat().st_mode & 0o777 == 0o600
    site.slurm("scontrol", "update", f"job={job_id}", "StartTime=now")
    out, said = launch.communicate(timeout=120)

    assert launch.returncode == 0 and out.count("orderly") == out.count("waiting 1") == NODES, said
    assert f"job {job_id} was requeued: attempt 2" in said and "succeeded after" in said
    assert not request.exists()
    after = status(site, run_id)
    assert (after["run"]["status"], after["run"]["attempts"]) == ("succeeded", 2)
    assert site.run("logs", run_id, "--attempt", "2").out.count("waiting 1") == NODES
    assert "waiting 1" not in site.run("logs", run_id, "--attempt", "1").out
    assert site.run("logs", run_id).out.count("waiting") == 2 * NODES
    assert site.run("logs", run_id, "--attempt", "3").code == 2


def test_a_run_that_waits_to_be_started_again_is_stopped(site, left):
    run_id = left("--requeue")
    site.slurm("scontrol", "requeue", site.job_of(run_id))
    wait_for(lambda: site.state(site.job_of(run_id)) == "PENDING")
    stopped = site.run("stop", run_id)

    assert stopped.code == 0 and "was cancelled while it waited to be started again" in stopped.out
    assert site.state(site.job_of(run_id)) == "CANCELLED"
    assert status(site, run_id)["run"]["status"] == "stopped"
    assert not (site.place(run_id) / "request.json").exists()


# -- suspension ------------------------------------------------------------------------------------


def test_a_suspended_run_is_shown_as_such_and_no_clock_counts_that_time(site, left):
    limit, go = 25, site.runs / "resumed"
    script = f"echo waiting; until [ -e {go} ]; do sleep 1; echo alive; done"
    run_id = left("--idle-timeout", str(limit), "--timeout", str(limit), script=script)
    site.slurm("scontrol", "suspend", site.job_of(run_id))
    enough = time.monotonic() + limit
    wait_for(lambda: status(site, run_id)["run"]["status"] == "suspended" and time.monotonic() > enough, 120)
    site.slurm("scontrol", "resume", site.job_of(run_id))
    go.touch()
    done = site.run("attach", "--output", "json")

    assert done.code == 0, done.err


# -- signals ---------------------------------------------------------------------------------------

COUNTING = """\
import os, signal, time
count = []
signal.signal(signal.SIGUSR1, lambda *_: count.append(1))
print('waiting', flush=True)
while not count: time.sleep(0.05)
time.sleep(1)
print('signals', len(count), flush=True)
"""


def test_a_signal_for_the_ranks_reaches_every_rank_once(site, left):
    """Slurm sends it to the first program of the job, as --signal has it do, or by hand to all processes of it."""
    (site.runs / "count.py").write_text(COUNTING)
    words = ["--signal", "USR1@60", "--python", sys.executable, "--nproc-per-node", "2"]
    launch = site.begin(*words, str(site.runs / "count.py"), nodes=NODES)
    read_lines(launch, "waiting", 2 * NODES)
    assert "--signal=B:USR1@60" in site.submission()["argv"]
    site.slurm("scancel", "--batch", "--signal=USR1", site.jobs()[0])
    out, said = launch.communicate(timeout=120)

    assert launch.returncode == 0 and out.count("signals 1\n") == 2 * NODES, (out, said)


def test_signals_for_ranks_are_no_orders_for_ours(site, left):
    run_id = left(script="trap : USR1 USR2; " + ORDERLY)
    for name in ("USR1", "USR2", "URG"):
        site.slurm("scancel", "--full", f"--signal={name}", site.job_of(run_id))
    begun = status(site, run_id)
    site.run("stop", run_id)

    assert begun["run"]["status"] == "running"
    assert site.run("logs", run_id).out.count("orderly") == NODES


# -- the controller is away ------------------------------------------------------------------------


@contextlib.contextmanager
def controller_away(site):
    """End the controller for a while, and have nobody wait long for it: before and after, it may take its time."""
    site.reconfigure("MinJobAge=300", "MinJobAge=300\nMessageTimeout=4")
    site.end_controller()
    try:
        yield
    finally:
        site.start_controller()
        site.reconfigure("MinJobAge=300\nMessageTimeout=4", "MinJobAge=300")


def lines_until(stream, words):
    """Read to the line that has certain words."""
    lines = [stream.readline()]
    while words not in lines[-1]:
        assert lines[-1], lines
        lines.append(stream.readline())
    return lines


@pytest.mark.long  # Whoever asks for the controller waits for it, again and again.
def test_runs_do_not_need_the_controller_and_nothing_false_is_said_while_it_is_away(site, left):
    go = site.runs / "go"
    go.unlink(missing_ok=True)
    ends = left(script=f"echo waiting; while [ ! -e {go} ]; do sleep 0.1; done; echo over")
    stops = site.launch("--detach", "--command", "--", "bash", "-c", ORDERLY, nodes=NODES).json["run_id"]
    wait_for(lambda: site.run("logs", stops).out.count("waiting") == NODES)
    queued = site.begin(*ALONE, "--command", "--", "true", nodes=NODES)
    wait_for(lambda: len(site.jobs()) == 3)
    with controller_away(site):
        late = site.begin(*ALONE, "--command", "--", "true", nodes=NODES)
        assert status(site, ends)["run"]["status"] == "running"
        go.touch()
        follows = subprocess.Popen([str(MADCTL), "attach", ends], stdout=subprocess.PIPE, text=True)
        stopped = site.run("stop", stops)
        out, _ = follows.communicate(timeout=120)
        assert follows.returncode == 0 and out.count("over") == NODES, out
        assert stopped.code == 4 and "the run has ended, but whether job" in stopped.err, stopped.err
        assert site.run("logs", stops).out.count("orderly") == NODES
        found = {one["run_id"]: one["status"] for one in site.run("ps", "--output", "json").json["data"]["runs"]}
        assert (found[ends], found[stops]) == ("succeeded", "stopped")
        lines_until(queued.stderr, "cannot be reached")
        (line,) = lines_until(late.stderr, "cannot be reached")
        assert line.startswith("queue   Slurm's controller cannot be reached: ") and line.endswith("; trying again\n")
    for launch in (queued, late):
        _, said = launch.communicate(timeout=120)
        assert launch.returncode == 0 and "not reached" not in said, said
    wait_for(lambda: site.state(site.job_of(ends)) == "COMPLETED")
    again = site.run("stop", stops)
    assert again.code == 0, again.err

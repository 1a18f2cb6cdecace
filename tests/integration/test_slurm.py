# SPDX-License-Identifier: Apache-2.0
"""Runs inside of jobs of a real Slurm, on hosts of a lab that share a directory with its login side."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

import madctl as api
from madctl.lab import power, slurm, state
from madctl.records import record_store
from tests.integration import other_slurm, slurm_site
from tests.integration.command import JOBS, MADCTL, madctl, wait_for
from tests.integration.host_processes import left_behind
from tests.integration.launchers import bounded
from tests.integration.slurm_site import ALL, ALONE, ORDERLY, read_lines

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="the lab needs root"),
    pytest.mark.skipif(shutil.which("slurmctld") is None, reason="there is no Slurm here"),
]


@pytest.fixture(scope="module", params=["installed", pytest.param("debian13", marks=pytest.mark.long)])
def site(request):
    with contextlib.ExitStack() as stack:
        more = stack.enter_context(other_slurm.chosen()) if request.param == "debian13" else {}
        found = stack.enter_context(slurm_site.running(**more))
        found.start = more
        yield found


@pytest.fixture(autouse=True)
def nothing_left(site, own_records):
    """Hold after every test that nothing is left of it."""
    yield
    slurm_site.clear(site)


@pytest.fixture
def detached(site):
    """A run that continues in its job."""
    done = site.launch("--detach", *ALONE, "--command", "--", "bash", "-c", ORDERLY)
    assert (done.code, done.json["status"]) == (0, "queued"), done.err
    run_id = done.json["run_id"]
    wait_for(lambda: site.run("logs", run_id).out.count("waiting") == ALL)
    return run_id


def meet(site, nodes):
    """Return what a shell does until all nodes are as far: the first that fails would stop others before that."""
    place = f"{site.lab.shared}/$MADCTL_RUN_ID"
    others = " -a ".join(f"-e {place}.{number}" for number in range(nodes))
    return f": > {place}.$NODE_RANK; until test {others}; do sleep 0.1; done"


# -- from Python ------------------------------------------------------------------------------------


def test_a_program_launches_in_a_job(site):
    """It comes back when the job runs, or, detached, when it waits; either can be waited for."""
    where = {"on": "slurm", "lab": site.lab.name, "nodes": 2, "command": True}
    run = api.launch("sh", "-c", f"echo from $NODE_RANK; {meet(site, 2)}; read line", **where)
    lines = sorted(run.logs(follow=True)), run.wait()
    later = api.launch("bash", "-c", ORDERLY, detach=True, **where)
    was = later.status().status
    stopped = later.stop()

    assert (
        lines[0] == ["from 0", "from 1"] and lines[1].status == "failed" and lines[1].errors[0].code == "COMMAND_FAILED"
    )
    assert was in ("queued", "running") and stopped.status == "stopped"
    assert later.wait().status == "stopped" and api.runs()[0] == later
    with pytest.raises(api.errors.UsageError, match="--nodes 1"):
        api.launch("true", **{**where, "nodes": 1, "nnodes": 2})


# -- the lab ---------------------------------------------------------------------------------------


def test_a_lab_has_a_slurm_whose_nodes_share_a_directory_with_its_login_side(site):
    (Path(site.lab.shared) / "file").write_text("seen\n")
    words = ["lab", "slurm", "--name", site.lab.name, "--", "srun", "-N3", "--gpus-per-node=2", "sh", "-c"]
    done = madctl(*words, f"hostname; cat {site.lab.shared}/file; echo $CUDA_VISIBLE_DEVICES")

    assert sorted(done.out.split()) == sorted(["node1", "node2", "node3", *["seen", "0,1"] * 3])


def test_nothing_is_left_of_a_lab_with_slurm():
    name = f"test-{uuid.uuid4().hex[:8]}"
    done = madctl("lab", "up", "-n", "1", "--slurm", "--name", name, cwd="/tmp")
    assert done.code == 0 and f"madctl lab slurm --name {name} -- sinfo" in done.err
    assert len(state.marked_processes(name)) >= 4
    assert madctl("lab", "down", "--name", name).code == 0

    assert state.marked_processes(name) == [] and not state.directory(name).exists()
    assert name not in Path("/proc/self/mountinfo").read_text()


def test_a_lab_without_slurm_says_how_to_get_one():
    name = f"test-{uuid.uuid4().hex[:8]}"
    madctl("lab", "up", "-n", "1", "--name", name, cwd="/tmp")
    done = madctl("lab", "slurm", "--name", name, "--", "sinfo")
    madctl("lab", "down", "--name", name)

    assert done.code == 2 and done.err.endswith(
        f"then start it with one: madctl lab up --slurm --name {name} [LAB_NO_SLURM]\n"
    )


# -- a launch --------------------------------------------------------------------------------------


def test_a_run_in_a_job_is_a_run(site):
    done = site.launch("--command", "--env", "KEPT=s3cret-value", "--", "sh", "-c", "echo $NODE_RANK $KEPT")

    assert (done.code, done.json["status"]) == (0, "succeeded"), done.err
    lines = sorted(line for line in done.err.splitlines() if "│" in line)
    assert lines == [f"node{rank + 1}      │ {rank} s3cret-value" for rank in range(3)]
    assert [node["host"] for node in done.json["data"]["nodes"]] == ["node1", "node2", "node3"]
    assert site.state(site.job_of(done.json["run_id"])) == "COMPLETED"


def test_ranks_meet_in_a_job_and_a_step_of_slurm_is_not_theirs(site):
    script = "import os; print(os.environ['RANK'], [name for name in os.environ if 'PROCID' in name or 'STEP' in name])"
    done = site.launch("--command", "--", "python3", "-c", script.replace("'RANK'", "'NODE_RANK'"))

    assert done.code == 0, done.err
    assert sorted(line.partition("│ ")[2] for line in done.err.splitlines() if "│" in line) == ["0 []", "1 []", "2 []"]


def test_a_failure_in_a_job_has_its_node_and_its_code(site):
    done = site.launch("--command", "--", "sh", "-c", "test $NODE_RANK != 1 || exit 7; sleep 60")

    assert done.code == 6 and done.codes == ["COMMAND_FAILED"], done.err
    assert done.json["errors"][0]["host"] == "node2" and "exit code 7" in done.json["errors"][0]["message"]


def test_a_launch_that_the_checks_refuse_starts_nothing(site):
    done = site.launch("--interface", "10.99.0.0/24", "--command", "--", "touch", str(site.runs / "started"))

    assert done.code == 3 and set(done.codes) == {"INTERFACE_UNKNOWN"}, (done.codes, done.err)
    assert not (site.runs / "started").exists()


def test_secrets_are_in_no_place_that_others_read(site):
    secret = "canary-of-a-secret"
    done = site.launch("--env", "HF_TOKEN", "--command", "--", "sleep", "0.2", env={"HF_TOKEN": secret})
    run_id = done.json["run_id"]
    assert done.code == 0, done.err

    shown = site.slurm("scontrol", "show", "job", "-dd", site.job_of(run_id))
    script = site.slurm("scontrol", "write", "batch_script", site.job_of(run_id), "-")
    spooled = subprocess.run(["grep", "-rl", secret, site.lab.shared], capture_output=True, text=True)
    assert secret not in shown + script + done.out + done.err and spooled.stdout == ""
    assert site.place(run_id).stat().st_mode & 0o077 == 0
    assert [path.name for path in site.place(run_id).iterdir() if path.stat().st_mode & 0o077] in ([], ["job.log"])


def test_what_slurm_refuses_is_told_in_its_words_and_leaves_nothing(site):
    before = set(site.runs.iterdir())
    done = site.launch("--partition", "none", "--command", "--", "true")

    assert done.code == 2 and done.codes == ["SCHEDULER_REFUSED"]
    assert done.json["errors"][0]["message"] == "Slurm refuses the job: Invalid partition name specified"
    assert {path for path in set(site.runs.iterdir()) - before if not path.name.startswith("job-bin-")} == set()
    assert madctl("ps", "--output", "json").json["data"]["runs"] == []


def test_a_dry_run_shows_the_command_and_asks_slurm(site):
    done = site.run("launch", *site.options(), "--dry-run", "--gpus-per-node", "1", "--command", "--", "true")
    assert done.code == 0, done.err
    assert done.out.startswith("sbatch --parsable --job-name=madctl-") and " --gpus-per-node=1 " in done.out
    assert "to start at" in done.err and site.jobs() == []

    refused = site.run("launch", *site.options(nodes=9), "--dry-run", "--command", "--", "true")
    assert refused.code == 2 and "SCHEDULER_REFUSED" in refused.err


def test_a_directory_that_nodes_do_not_see_is_what_failed(site, tmp_path):
    done = site.launch("--run-root", str(tmp_path), "--command", "--", "true", nodes=1)

    assert done.code == 5 and done.codes == ["NODE_NOT_READY"]
    assert "does not see the run directory" in done.json["errors"][0]["message"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--hosts", "a"], "Slurm chooses the nodes of a job"),
        (["--sbatch-args=--array=1-3"], "--sbatch-args: --array is set by madctl, or makes another kind of job"),
        (["--sbatch-args=--outp=/x"], "--sbatch-args: --outp is set by madctl, or makes another kind of job"),
        (["--sbatch-args=/tmp/evil.sh"], "--sbatch-args: '/tmp/evil.sh' is not --name or --name=value"),
        (["--gpus-per-node=1", "--gres=gpu:1"], "--gpus-per-node and --gres exclude each other"),
        (["--nnodes", "4"], "--nnodes 4 exceeds --nodes 3"),
        (["--runner", "srun"], "--runner takes torchrun or mpirun, not 'srun'"),
    ],
)
def test_what_a_job_cannot_have_is_refused_before_anything_is_written(site, words, said):
    done = site.launch(*words, "--", "train.py")

    assert done.code == 2 and done.json["errors"][0]["message"] == said


# -- code ------------------------------------------------------------------------------------------

IN_COPY = """\
import os, pathlib, own
here = pathlib.Path.cwd()
assert here == pathlib.Path(os.environ["MADCTL_RUN_DIR"], "code"), here
pathlib.Path("new").write_text(f"NUMBER = {own.NUMBER + 1}\\n")
os.replace("new", "own.py")
assert own.NUMBER > 1 or os.environ["NODE_RANK"] != "1"
"""


def test_code_of_this_machine_runs_in_a_job_and_what_it_changes_is_collected(site, tmp_path):
    code = tmp_path / "code"
    code.mkdir()
    (code / "train.py").write_text(IN_COPY)
    (code / "own.py").write_text("NUMBER = 1\n")
    words = ["--sync", str(code), "--command", "--", sys.executable, "-B", "train.py"]
    refused = site.run("launch", *site.options(), "--output", "json", "--sync", "/", "--command", "--", "true")
    done = site.launch("--max-restarts", "1", *words)
    checked = site.run("check", *site.options(), *words)
    collected = site.run("collect", "--to", str(tmp_path / "to"))
    shown = site.run("status")

    assert (refused.code, refused.codes) == (2, ["SYNC_REFUSED"])
    assert (done.code, checked.code, collected.code) == (0, 0, 0), done.err + checked.err + collected.err
    assert f"code    {code}" in shown.out, shown.out
    # The restart went on with what the first attempt had changed; its failure may have stopped the others before that.
    numbers = [(tmp_path / "to" / f"node{number}" / "code/own.py").read_text()[-2] for number in (1, 2, 3)]
    assert numbers[1] == "3" and {numbers[0], numbers[2]} <= {"2", "3"}, numbers
    assert not (tmp_path / "to/node1/code/train.py").exists()
    assert (code / "own.py").read_text() == "NUMBER = 1\n"


# -- what becomes of it ----------------------------------------------------------------------------

# It ends in order, if it is let.


def test_a_run_that_was_left_in_its_job_is_known_and_stopped_by_any_later_command(site, detached):
    def status():
        return site.run("status", "--output", "json").json

    wait_for(lambda: {node["state"] for node in status()["data"]["nodes"]} == {"running"})
    found = status()
    assert found["run_id"] == detached and found["data"]["run"]["status"] == "running"
    assert [node["host"] for node in found["data"]["nodes"]] == ["node1", "node2", "node3"]
    assert found["data"]["run"]["hosts"] == ["node1", "node2", "node3"]
    assert site.run("logs", "--host", "node2").out == "node2      │ waiting\n"

    stopped = site.run("stop", "--output", "json")
    assert stopped.code == 0 and stopped.json["status"] == "stopped", stopped.err
    assert site.state(site.job_of(detached)) == "CANCELLED"
    after = site.run("logs").out
    assert after.count("orderly") == ALL
    ended = status()
    assert ended["data"]["run"]["status"] == "stopped" and stopped.json["data"]["run"]["status"] == "stopped"
    assert [node["exit"]["stopped"] for node in ended["data"]["nodes"]] == [True] * ALL
    assert site.run("status", "--exit-code").code == 130
    again = site.run("attach", "--output", "json")
    assert again.code == 130 and again.codes == ["RUN_STOPPED"] and again.err.count("waiting") == ALL


def test_a_job_that_was_stopped_ends_by_itself_also_if_its_scancel_is_slow(site):
    place = Path(site.lab.shared) / "slow"
    place.mkdir()
    (place / "scancel").write_text('#!/bin/sh\n/usr/bin/scancel "$@"; sleep 0.5\n')
    (place / "scancel").chmod(0o755)
    words = ["--detach", "--command", "--", "sleep", "60"]
    done = site.launch(*words, nodes=1, env={"PATH": f"{place}:{os.environ['PATH']}"})
    wait_for((site.place(done.json["run_id"]) / "story").exists)

    assert site.run("stop").code == 0
    assert " ExitCode=130:0" in site.slurm("scontrol", "-o", "show", "job", site.job_of(done.json["run_id"]))


def test_a_job_that_slurm_cancels_ends_in_order_and_says_who_did_it(site, detached):
    site.slurm("scancel", site.job_of(detached))
    done = site.run("attach", "--output", "json")

    assert done.code == 130 and done.json["errors"][0]["message"] == "the job was cancelled in Slurm"
    assert done.err.count("orderly") == ALL and "does not answer" not in done.err


def test_two_signals_at_once_are_one_order(site, detached):
    """As Slurm sends them at a time limit and at a preemption."""
    for _ in range(2):
        site.slurm("scancel", "--full", "--signal=TERM", site.job_of(detached))
    done = site.run("attach", "--output", "json")

    assert done.code == 130 and done.err.count("orderly") == ALL


def test_where_a_signal_reaches_only_what_slurm_started_a_run_ends_in_order_too(site):
    """As on clusters, which track processes by cgroups."""
    with slurm_site.running(1, "cgroup", **site.start) as cgroup:
        launch = cgroup.begin("--command", "--", "bash", "-c", f"setsid sleep 300 & {ORDERLY}", nodes=1)
        read_lines(launch, "waiting")
        cgroup.slurm("scancel", cgroup.jobs()[0])
        out, said = launch.communicate(timeout=120)
        assert launch.returncode == 130 and "orderly" in out and "the job was cancelled in Slurm" in said, said
        wait_for(lambda: cgroup.jobs() == [])
        assert left_behind(cgroup.lab) == []


def test_a_launch_that_waits_says_why_and_ctrl_c_takes_it_out_of_the_queue(site, detached):
    waiting = site.begin(*ALONE, "--command", "--", "true")
    lines = []
    with bounded(waiting):
        while not any("Resources" in line for line in lines):
            lines.append(waiting.stderr.readline())
            assert lines[-1], lines
    found = site.run("status", "--output", "json").json["data"]
    assert (found["run"]["status"], found["run"]["cause"], found["nodes"]) == ("queued", "Resources", [])
    assert madctl("ps", "--output", "json").json["data"]["runs"][0]["status"] == "queued"
    queued = found["job"]
    waiting.send_signal(signal.SIGINT)
    _, said = waiting.communicate(timeout=120)

    assert waiting.returncode == 130 and "was cancelled before it began [INTERRUPTED]" in said
    assert site.state(queued["id"]) == "CANCELLED" and len(site.jobs()) == 1


def test_a_run_that_waits_is_stopped(site, detached):
    done = site.launch("--detach", *ALONE, "--command", "--", "true")
    stopped = site.run("stop", done.json["run_id"])

    assert stopped.code == 0 and stopped.out.endswith("was cancelled before it began\n")
    assert site.jobs() == [site.job_of(detached)]


def test_a_run_in_a_job_is_named_listed_and_read_as_any_other(site):
    lines = "for line in 1 2 3; do echo $NODE_RANK:$line; sleep 0.1; done"
    script = f"{lines}; {meet(site, ALL)}; test $NODE_RANK != 1 || exit 7"
    words = ["--name", "bad", "--note", "too early", "--host", "node2", "--command", "--", "sh", "-c", script]
    done = site.launch(*words)
    assert done.code == 6 and [line for line in done.err.splitlines() if "│ 0:" in line or "│ 2:" in line] == []
    assert f"logs    madctl logs {done.json['run_id']} --host node2" in done.err.splitlines()

    (listed,) = site.run("ps", "--failed", "--output", "json").json["data"]["runs"]
    assert (listed["name"], listed["cause"], listed["exit_code"]) == (
        "bad",
        "node2: the command failed: exit code 7",
        6,
    )
    status = site.run("status", "bad")
    assert status.out.startswith("failed after ") and "note    too early\n" in status.out
    last = site.run("logs", "bad", "-n", "1", "--host", "node[2-3]").out.splitlines()
    assert sorted(last) == ["node2      │ 1:3", "node3      │ 2:3"]
    lines = [json.loads(line) for line in site.run("logs", "bad", "--merge", "--output", "jsonl").out.splitlines()]
    assert len(lines) == 9 and [line["time"] for line in lines] == sorted(line["time"] for line in lines)
    assert site.run("logs", "bad", "--since", "now").out == ""
    refused = site.run("logs", "bad", "--host", "other")
    assert refused.code == 2 and "the run has no node 'other'; its nodes: node[1-3] [RUN_HOST_UNKNOWN]" in refused.err


def test_a_name_of_a_run_that_waits_or_runs_is_taken(site, detached):
    done = site.launch("--name", "twice", "--detach", *ALONE, "--command", "--", "true")
    assert done.code == 0, done.err
    again = site.launch("--name", "twice", "--command", "--", "true")

    assert again.code == 2 and again.codes == ["NAME_IN_USE"] and "which is queued" in again.err
    assert site.run("stop", "twice").code == 0


@pytest.mark.parametrize("is_known", [True, False], ids=["by its file", "by its name"])
def test_a_job_whose_launch_was_killed_before_it_knew_the_id_is_found(site, detached, is_known):
    path = record_store.directory() / f"{detached}.json"
    record = json.loads(path.read_text())
    job_id, record["job"]["id"] = record["job"]["id"], ""
    path.write_text(json.dumps(record))
    if not is_known:
        (site.place(detached) / "submit.json").write_text('{"state": "submitting"}')

    assert site.run("status", "--output", "json").json["data"]["job"]["id"] == job_id
    assert site.run("stop", "--force").code == 0 and site.jobs() == []


def test_a_killed_launch_leaves_the_run_and_ctrl_c_of_another_stops_it(site):
    first = site.begin("--command", "--", "bash", "-c", ORDERLY)
    read_lines(first, "waiting", ALL)
    first.kill()
    first.communicate()
    env = {**os.environ, **slurm.environment(site.lab)}
    second = subprocess.Popen([str(MADCTL), "attach"], cwd=JOBS, env=env, stdout=subprocess.PIPE, text=True)
    read_lines(second, "waiting")
    second.send_signal(signal.SIGINT)
    out, _ = second.communicate(timeout=120)

    assert second.returncode == 130 and out.count("orderly") == ALL


def test_a_node_that_loses_its_power_is_named(site):
    launch = site.begin("--command", "--", "bash", "-c", ORDERLY)
    read_lines(launch, "waiting", ALL)
    power.power_off(state.load(site.lab.name).host("node3"))
    _, said = launch.communicate(timeout=200)

    assert launch.returncode == 7 and "node3" in said and "[NODE_LOST]" in said, said

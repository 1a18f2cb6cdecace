# SPDX-License-Identifier: Apache-2.0
"""The playbooks of an operator against a login node of a real Slurm, which is a lab's host that is reached by SSH."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from madctl.lab import slurm, state
from tests.integration import playbook_results, slurm_site
from tests.integration.command import JOBS, wait_for
from tests.integration.launchers import bounded, read_until
from tests.integration.slurm_site import ORDERLY

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="the lab needs root"),
]
PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
SECRET = "hunter2-hunter2"


@pytest.fixture(scope="module")
def site():
    with slurm_site.running() as site:
        yield site


@pytest.fixture(autouse=True)
def cleared(site):
    yield
    slurm_site.clear(site)


@pytest.fixture
def argv(site, tmp_path):
    """Return the command line of a playbook on the login node."""
    config = state.directory(site.lab.name) / "ssh_config"
    shared = {
        "ansible_ssh_common_args": f"-F {config}",
        "ansible_python_interpreter": "/usr/bin/python3",
        "madctl_on": "slurm",
        "madctl_run_root": str(site.runs),
        "madctl_slurm_conf": str(slurm.configuration_file(site.lab)),
    }
    inventory = {"all": {"hosts": {"login": {"ansible_host": "node1"}}, "vars": shared}}
    (tmp_path / "hosts.yml").write_text(json.dumps(inventory))

    def argv(playbook, *words, **variables):
        given = {f"madctl_{name}": value for name, value in variables.items()}
        return [PLAYBOOK, "-i", tmp_path / "hosts.yml", f"madctl.multinode.{playbook}", *words, "-e", json.dumps(given)]

    return argv


@pytest.fixture
def play(argv, tmp_path):
    def play(playbook, *words, **variables):
        words = argv(playbook, *words, **variables)
        return playbook_results.play(words, os.environ, tmp_path, cwd=JOBS)

    return play


def command(*words, nodes=2, **more):
    return {"slurm_nodes": nodes, "shape": "command", "work": list(words), **more}


def run_id(done):
    return re.search(r"^run +(\S+)$", done.stdout, re.M)[1]


def files(place):
    return "".join(path.read_text(errors="replace") for path in place.rglob("*") if path.is_file())


def told(site, run_id, text, times=1):
    story = site.place(run_id) / "story"
    return story.exists() and story.read_bytes().count(text) >= times


def changed(done):
    return int(re.search(r"changed=(\d+)", done.stdout)[1])


def test_a_launch_is_a_job_that_is_followed_to_its_end(play, site):
    done = play(
        "launch",
        **command("sh", "-c", 'echo on $NODE_RANK with $(printf "%s" "$TOKEN" | wc -c)', env={"TOKEN": SECRET}),
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(re.findall(r"\| (on .*)", done.stdout)) == ["on 0 with 15", "on 1 with 15"]
    assert re.search(r"^done +succeeded", done.stdout, re.M)
    assert changed(done) == 1
    place = site.place(run_id(done))
    assert json.loads((place / "result.json").read_text())["exit_code"] == 0
    assert SECRET not in done.stdout + done.stderr + files(place)


def test_it_fails_as_the_run_did(play):
    done = play("launch", **command("sh", "-c", "test $NODE_RANK = 0 || exit 3; sleep 60"))

    assert done.returncode == 2
    told = re.search(
        r"^madctl: node\d: the command failed: exit code 3; see (.*) \[COMMAND_FAILED\]$", done.stdout, re.M
    )
    words = [word for word in shlex.split(told[1]) if word != "-e"]
    assert "madctl_on=slurm" in words and f"madctl_run_id={run_id(done)}" in words
    assert re.fullmatch(r"madctl_show_hosts=node\d", words[-1])
    assert re.search(r"fatal: \[login\]: FAILED! => .*COMMAND_FAILED: see above", done.stdout + done.stderr)


def test_check_mode_has_slurm_judge_the_job_and_leaves_nothing(play, site):
    before = sorted(site.runs.iterdir())
    done = play("launch", "--check", "--diff", **command("hostname"))

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^queue +Job \d+ to start at ", done.stdout, re.M)
    assert re.search(r"^\+sbatch .*--nodes=2 ", done.stdout, re.M) and "+#!/bin/sh" in done.stdout
    assert (sorted(site.runs.iterdir()), site.jobs()) == (before, [])


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"slurm_partition": "none"}, r"Slurm refuses the job: .*partition.*\[SCHEDULER_REFUSED\]"),
        ({"slurm_args": "--array=1-2"}, r"madctl_slurm_args: --array is set by madctl"),
        ({"run_root": "/proc/none"}, r"/proc/none: No such file.*\[RUN_DIR_UNWRITABLE\]"),
        ({"run_id": "../outside"}, r"'../outside' is not the ID of a run"),
    ],
)
def test_what_cannot_be_submitted_is_said_in_one_line(play, variables, said):
    done = play("launch", **{**command("hostname"), **variables})

    assert done.returncode != 0
    assert re.search(said, done.stdout + done.stderr)
    assert "Traceback" not in done.stdout + done.stderr


def test_playbooks_about_the_hosts_of_a_job_take_no_login_node(play):
    done = play("check")

    assert done.returncode == 2
    assert "madctl_on=slurm is only for the playbooks launch, status, logs and stop" in done.stdout + done.stderr


def test_a_run_that_was_submitted_is_neither_submitted_nor_stopped_twice(play, site):
    wanted = command("sh", "-c", ORDERLY, run_id="20261201-000000-00000001")
    first, second = (play("launch", **wanted, detach=True) for _ in range(2))
    assert [first.returncode, changed(first), changed(second)] == [0, 1, 0]
    assert len(site.jobs()) == 1
    wait_for(lambda: told(site, wanted["run_id"], b"waiting"))

    assert changed(play("stop", "--check")) == 1 and len(site.jobs()) == 1
    stopped, again = play("stop"), play("stop", run_id=wanted["run_id"])
    assert [stopped.returncode, changed(stopped), again.returncode, changed(again)] == [0, 1, 0, 0], stopped.stdout
    assert "job is over" in re.sub(r"job \d+", "job", stopped.stdout)
    assert told(site, wanted["run_id"], b"orderly")
    followed = play("launch", **wanted)
    assert followed.returncode == 2 and changed(followed) == 0
    assert "[RUN_STOPPED]" in followed.stdout


def test_an_interrupt_stops_the_job(argv, site):
    words = argv("launch", **command("sh", "-c", ORDERLY, run_id="20261201-000000-00000002"))
    process = subprocess.Popen(words, cwd=JOBS, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    wait_for(lambda: told(site, "20261201-000000-00000002", b"waiting"))
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)

    wait_for(lambda: site.jobs() == [])
    assert told(site, "20261201-000000-00000002", b"orderly")


def test_a_job_that_waits_says_so_and_is_cancelled(play, argv, site):
    holder = play("launch", **command("sleep", "300", nodes=3, detach=True, slurm_gpus_per_node=slurm.GPUS))
    words = argv("launch", **command("hostname", slurm_gpus_per_node=slurm.GPUS, run_id="20261201-000000-00000003"))
    process = subprocess.Popen(
        words,
        cwd=JOBS,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "ANSIBLE_STDOUT_CALLBACK": "madctl.multinode.live"},
    )
    try:
        said = ""
        with bounded(process):
            while "is pending" not in said:
                said = process.stdout.readline()
                assert said, "it ended"
        done = play("stop", run_id="20261201-000000-00000003")
        assert (done.returncode, changed(done)) == (0, 1), done.stdout
        # It asks at growing intervals.
        out, _ = process.communicate(timeout=200)
        assert process.returncode == 2
        assert "[RUN_STOPPED]" in out
    finally:
        process.kill()
    assert holder.returncode == 0
    assert len(site.jobs()) == 1


def test_status_and_logs_read_the_files_on_the_login_node(play, site):
    # The second node does not end by itself, so that it cannot stop the first one before its line.
    script = "echo line of $NODE_RANK; test $NODE_RANK = 1 || exit 3; sleep 60"
    wanted = command("sh", "-c", script, run_id="20261201-000000-00000004")
    assert play("launch", **wanted).returncode == 2
    named = {"run_id": wanted["run_id"]}
    status, logs = play("status", **named), play("logs", **named, show_hosts="node1")

    assert re.search(r"^failed after .*: node\d: the command failed: exit code 3$", status.stdout, re.M), status.stdout
    assert status.returncode == logs.returncode == 0
    assert re.findall(r"^node\d \| .*$", logs.stdout, re.M) == ["node1 | line of 0"]
    unknown = play("status", run_id="20261201-000000-ffffffff")
    assert unknown.returncode == 2 and "[RUN_UNKNOWN]" in unknown.stdout


# -- the same through madctl -----------------------------------------------------------------------


def launch(site, *words, **more):
    return site.launch("--login", "node1", *words, nodes=2, **more)


def test_madctl_launches_on_a_login_node_as_on_its_own_machine(site):
    done = launch(site, "--env", "TOKEN", "--command", "--", "sh", "-c", "echo ${#TOKEN}", env={"TOKEN": SECRET})
    failed = launch(site, "--command", "--", "sh", "-c", "test $NODE_RANK = 0 || exit 3; sleep 60")

    assert (done.code, done.json["status"], done.err.count("│ 15")) == (0, "succeeded", 2), done.err
    assert SECRET not in done.out + done.err + files(site.place(done.json["run_id"]))
    assert (failed.code, failed.codes[0]) == (6, "COMMAND_FAILED")
    assert failed.json["errors"][0]["exit_code"] == 3
    refused = launch(site, "--partition", "none", "--command", "hostname")
    assert (refused.code, refused.codes) == (2, ["SCHEDULER_REFUSED"])


def test_later_commands_of_madctl_find_the_run_there(site):
    left = launch(site, "--detach", "--command", "--", "sh", "-c", ORDERLY).json
    run_id = left["run_id"]
    wait_for(lambda: told(site, run_id, b"waiting", 2))
    status = site.run("status", run_id, "--output", "json").json["data"]
    assert (status["run"]["status"], status["job"]["login"], len(status["nodes"])) == ("running", "node1", 2)
    assert site.run("logs", run_id).out.count("waiting") == 2

    stopped = site.run("stop", run_id)
    assert stopped.code == 0, stopped.err
    assert site.jobs() == []
    attached = site.run("attach", run_id)
    assert attached.code == 130 and "orderly" in attached.out
    assert site.run("ps", "-n", "1", "--output", "json").json["data"]["runs"][0]["status"] == "stopped"


def test_ctrl_c_stops_a_run_that_was_submitted_elsewhere(site):
    process = site.begin("--login", "node1", "--command", "--", "sh", "-c", ORDERLY, nodes=2)
    read_until(process, "waiting")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)

    assert process.returncode == 130, err
    assert "orderly" in out and "[INTERRUPTED]" in err
    wait_for(lambda: site.jobs() == [])

# SPDX-License-Identifier: Apache-2.0
"""
Runs in pods, from their creation to their end, on a stand-in for a cluster and its kubelets.

Its README says what it is true to, and what no stand-in can show. The Python client and kubectl are real, and so are
the pods' processes: each is the first of a namespace on a host of a lab.
"""

import hashlib
import json
import os
import re
import shutil
import signal

import pytest

import madctl as api
from tests.integration import kubernetes_site
from tests.integration.command import EXAMPLE, JOBS, madctl, wait_for
from tests.integration.host_processes import left_behind

FAIL, WAIT = f"{JOBS}/fail.py", f"{JOBS}/wait.py"
pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="the lab needs root"),
    pytest.mark.skipif(shutil.which("kubectl") is None, reason="not installed: kubectl"),
    pytest.mark.usefixtures("own_records"),
]


@pytest.fixture(scope="module")
def everything():
    with kubernetes_site.running() as site:
        yield site


@pytest.fixture
def site(everything, own_records, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", everything.cluster.kubeconfig)
    yield everything
    everything.clear()
    assert left_behind(everything.lab) == []


@pytest.fixture
def detached(site):
    """A run that was left in the cluster once all its ranks had joined."""
    done = site.launch("--detach", WAIT)
    assert (done.code, done.json["status"]) == (0, "queued"), done.err
    site.wait_joined(done.json["run_id"])
    return done.json["run_id"]


# -- from Python ------------------------------------------------------------------------------------


def test_a_program_launches_in_pods(site):
    where = {"on": "k8s", "nnodes": 2, "image": "registry/train:1", "command": True, "volume": ["data:/data"]}
    # The first that fails stops the other, perhaps before its line.
    meet = ": > /data/met.$NODE_RANK; until test -e /data/met.0 -a -e /data/met.1; do sleep 0.1; done"
    run = api.launch("sh", "-c", f"echo from $NODE_RANK; {meet}; exit 3", **where)
    lines, result = sorted(run.logs(follow=True)), run.wait()
    again = api.run(run.id).wait()

    assert lines == ["from 0", "from 1"]
    assert (result.status, result.exit_code, result.errors[0].code) == ("failed", 6, "COMMAND_FAILED")
    assert (again.status, again.exit_code) == ("failed", 6)


# -- runs ------------------------------------------------------------------------------------------


def test_ranks_of_three_pods_meet(site):
    done = site.launch(EXAMPLE)

    assert done.code == 0, done.err
    found = re.findall(r"│ rank (\d) of 6 on (\S+): sum 21, expected 21", done.err)
    name = f"madctl-{done.json['run_id']}"
    assert sorted(found) == [(str(rank), f"{name}-{rank // 2}") for rank in range(6)]
    data = done.json["data"]
    assert (data["ranks_joined"], [node["host"] for node in data["nodes"]]) == (6, ["pod-0", "pod-1", "pod-2"])
    wait_for(lambda: "Complete" in site.conditions(done.json["run_id"]))
    assert site.ends(done.json["run_id"]) == {0: 0, 1: 0, 2: 0}


def test_a_setup_and_the_number_of_the_attempt_reach_what_runs_in_pods(site):
    script = 'echo "said $A $PWD $MADCTL_ATTEMPT"; test $MADCTL_ATTEMPT = 1'
    words = ["--setup", "export A='x y'; cd /", "--max-restarts", "1", "--command", "--", "sh", "-c", script]
    done = site.launch(*words)

    assert done.code == 0, done.err
    assert sorted(set(re.findall(r"said (.*)", done.err))) == ["x y / 0", "x y / 1"]


def test_a_failure_has_its_pod_its_rank_and_its_code_and_no_log_is_lost(site):
    done = site.launch(FAIL, "3")
    run_id = done.json["run_id"]

    error = done.json["errors"][0]
    assert (done.code, error["code"], error["host"], error["rank"]) == (6, "RANK_FAILED", "pod-1", 3), done.err
    assert "giving up" in done.err
    wait_for(lambda: "Failed" in site.conditions(run_id))
    # Had another pod ended with an error, or this one first, the cluster would have deleted pods that still ran.
    assert site.ends(run_id) == {0: 6, 1: 0, 2: 0}
    failed = next(one for one in site.job(run_id)["status"]["conditions"] if one["type"] == "Failed")
    assert failed["reason"] == "PodFailurePolicy" and "exit code 6" in failed["message"]
    assert "giving up" in madctl("logs", run_id, "--rank", "3").out
    first = next(pod for pod in site.objects("pods") if "-0-" in pod["metadata"]["name"])
    word = json.loads(first["status"]["containerStatuses"][0]["state"]["terminated"]["message"])
    assert (word["code"], word["first"]["host"], word["first"]["rank"]) == ("RANK_FAILED", "pod-1", 3)


def test_every_later_command_knows_how_it_ended(site):
    run_id = site.launch(FAIL, "3").json["run_id"]
    cause = "pod-1 rank 3: exit code 7"
    wait_for(lambda: site.ends(run_id)[0] == 6)

    status, listed = madctl("status"), madctl("ps", "--output", "json").json["data"]["runs"][0]
    assert status.out.startswith("failed after") and cause in status.out.splitlines()[0], status.out
    assert f"job     madctl-{run_id} in namespace train" in status.out
    assert (listed["status"], listed["cause"], listed["exit_code"]) == ("failed", cause, 6)
    again = madctl("attach", "--output", "json")
    assert (again.code, again.json["errors"][0]["rank"]) == (6, 3) and "giving up" in again.err
    # Also where this machine saw nothing of it.
    shutil.rmtree(os.path.join(os.environ["XDG_STATE_HOME"], "madctl"))
    assert "no runs yet" in madctl("status").err


def test_a_launch_that_the_checks_refuse_starts_nothing(site):
    done = site.launch("missing.py")

    assert (done.code, done.codes) == (3, ["ENTRY_MISSING"] * 3), done.err
    wait_for(lambda: site.ends(done.json["run_id"]) == {0: 3, 1: 0, 2: 0})
    assert "missing.py not found" in madctl("status").out


def test_a_restart_is_one_in_the_living_pods(site):
    done = site.launch("--max-restarts", "1", FAIL, "3")

    assert (done.code, done.json["data"]["attempts"]) == (6, 2), done.err
    assert done.err.count("│ giving up") == 2
    assert len(site.objects("pods")) == 3


def test_a_script_and_variables_are_sent_and_secrets_are_nowhere_else(site, tmp_path):
    script = tmp_path / "sent.py"
    script.write_text(
        "import os, sys, hashlib\nprint('sent', sys.argv[1:], hashlib.md5(os.environ['TOKEN'].encode()).hexdigest())\n"
    )
    secret = "tiger-in-the-night"
    done = site.launch("--send-script", "--env", "TOKEN", str(script), "a b", env={"TOKEN": secret})

    digest = hashlib.md5(secret.encode()).hexdigest()
    assert done.code == 0, done.err
    assert done.err.count(f"│ sent ['a b'] {digest}") == 6, done.err
    shown = "".join(
        site.kubectl("get", kind, "--output", "yaml") for kind in ("jobs", "pods", "services", "configmaps")
    )
    shown += "".join(site.kubectl("describe", kind) for kind in ("jobs", "pods", "secrets", "configmaps"))
    assert shown.count(done.json["run_id"]) > 10 and secret not in shown
    assert secret not in done.out + done.err + madctl("status", "--output", "json").out


def test_the_output_is_kept_on_a_volume_when_all_of_the_run_is_gone(site):
    done = site.launch("--volume", "data:/data", "--run-root", "/data/runs", FAIL, "3")
    run_id = done.json["run_id"]
    wait_for(lambda: site.ends(run_id)[0] == 6)
    site.clear()

    kept = site.cluster.kubelets.claims / "data" / "runs" / run_id
    assert done.code == 6, done.err
    assert sorted(path.name for path in kept.iterdir()) == ["pod-0.log", "pod-1.log", "pod-2.log"]
    assert "rank-3.out: giving up\n" in (kept / "pod-1.log").read_text()
    assert '"code": "RANK_FAILED"' in (kept / "pod-0.log").read_text().splitlines()[-1]


@pytest.mark.parametrize("words", [("--command", "--", "sh", "-c", "echo node $NODE_RANK of $NNODES")])
def test_a_command_runs_once_per_pod(site, words):
    done = site.launch(*words)

    assert done.code == 0, done.err
    assert sorted(re.findall(r"│ node (\d) of 3", done.err)) == ["0", "1", "2"]


def test_mpirun_starts_ranks_in_all_pods_without_ssh(site):
    say = 'echo "rank $OMPI_COMM_WORLD_RANK of $OMPI_COMM_WORLD_SIZE on $(hostname)"'
    how = ["--runner", "mpirun", "--mpirun", "/usr/bin/mpirun.openmpi", "--allow-run-as-root"]
    done = site.launch(*how, "--", "sh", "-c", say)

    assert done.code == 0, done.err
    found = re.findall(r"rank (\d) of 6 on \S+-(\d)\n", done.err)
    assert sorted(found) == [(str(rank), str(rank // 2)) for rank in range(6)]
    assert done.json["data"]["ranks_joined"] == 6


def test_two_launches_at_once_do_not_meet(site):
    one, two = (site.begin("--nproc-per-node", "1", EXAMPLE, nodes=count) for count in (1, 2))
    (code, first), (other, second) = one.ended(), two.ended()

    assert (code, other) == (0, 0), first + second
    assert "rank 0 of 1" in first and "rank 1 of 2" in second


# -- stop ------------------------------------------------------------------------------------------


def test_a_run_that_was_left_is_known_and_stopped_with_proof(site, detached):
    status = madctl("status", "--exit-code")
    assert status.code == 0 and status.out.startswith("running for"), status.out
    assert re.search(r"pod-1 on node\d +running", status.out)

    done = madctl("stop", "--output", "json")

    assert (done.code, done.json["status"]) == (0, "stopped"), done.err
    assert set(site.ends(detached).values()) == {0, 130} and site.ends(detached)[0] == 130
    assert madctl("ps", "--output", "json").json["data"]["runs"][0]["status"] == "stopped"
    assert "waiting 5" in madctl("logs", detached).out
    assert madctl("stop").code == 0


def test_ctrl_c_stops_the_run_on_all_pods(site):
    launch = site.begin(WAIT)
    launch.until("│ waiting", 6)
    launch.send_signal(signal.SIGINT)
    code, said = launch.ended()

    assert code == 130 and "madctl: interrupted [INTERRUPTED]" in said, said
    run_id = madctl("ps", "--output", "json").json["data"]["runs"][0]["run_id"]
    wait_for(lambda: site.ends(run_id) == {0: 130, 1: 0, 2: 0})


def test_a_killed_launch_leaves_the_run_and_another_one_follows_it(site):
    launch = site.begin(WAIT)
    launch.until("│ waiting", 6)
    launch.kill()
    launch.ended()

    run_id = madctl("ps", "--output", "json").json["data"]["runs"][0]["run_id"]
    attached = site.start("attach", run_id)
    attached.until("│ waiting", 6)
    attached.send_signal(signal.SIGINT)
    code, said = attached.ended()
    assert code == 130, said
    wait_for(lambda: site.ends(run_id) == {0: 130, 1: 0, 2: 0})


# -- everything else -------------------------------------------------------------------------------


def test_a_check_is_a_short_job_that_leaves_nothing(site):
    done = madctl("check", *site.options(), "--output", "json", EXAMPLE)

    assert done.code == 0, done.err
    nodes = done.json["data"]["nodes"]
    assert [node["host"] for node in nodes] == ["pod-0", "pod-1", "pod-2"]
    assert {node["checks"]["proof"] for node in nodes} == {"ok"}
    # The cluster deletes a job after its pods.
    wait_for(lambda: all(site.objects(kind) == [] for kind in ("jobs", "services", "configmaps", "secrets")))


def test_a_run_is_collected_and_deleted(site, tmp_path):
    run_id = site.launch(FAIL, "3").json["run_id"]
    wait_for(lambda: site.ends(run_id)[0] == 6)

    done = madctl("collect", "--to", str(tmp_path / "here"))

    assert done.code == 0, done.err
    assert (tmp_path / "here/pod-1/logs/rank-3.out").read_text() == "rank 3 of 6\ngiving up\n"
    objects = json.loads((tmp_path / "here/objects.json").read_text())
    assert [one["kind"] for one in objects] == ["Job", "Service", "ConfigMap"]
    page = (tmp_path / "here/report.html").read_text()
    for part in ("Failed after", "pod-1 rank 3: exit code 7", "giving up", "3 nodes ready"):
        assert part in page, part
    assert "Nobody followed" not in page and "Incomplete" not in page
    kept = madctl("gc", "--days", "1")
    assert kept.code == 0 and site.objects("jobs") != []
    gone = madctl("gc", "--days", "0")
    assert (gone.code, f"namespace train of stand-in: deleted {run_id}" in gone.out) == (0, True), gone.out
    wait_for(lambda: all(site.objects(kind) == [] for kind in ("jobs", "secrets", "configmaps", "services")))


def test_a_run_that_lives_is_never_deleted(site, detached):
    done = madctl("gc", "--days", "0")

    assert done.code == 0 and "deleted" not in done.out
    assert madctl("status").out.startswith("running for")


def test_a_dry_run_can_be_created_with_kubectl(site, tmp_path):
    done = madctl("launch", *site.options(), "--dry-run", "--with-secret", "--output", "yaml", EXAMPLE)
    (tmp_path / "run.yaml").write_text(done.out)
    site.kubectl("create", "-f", str(tmp_path / "run.yaml"))
    job = site.objects("jobs")[0]["metadata"]

    assert done.code == 0, done.err
    wait_for(lambda: "Complete" in site.conditions(job["labels"]["madctl.dev/run"]), 200)


def test_a_run_is_created_again_and_its_end_is_told(site, tmp_path):
    tell = f"cat > {tmp_path}/$MADCTL_RUN_STATUS"
    words = ["--name", "big", "--on-end", tell, "--env", "WORD=a", "--command", "--", "sh", "-c", "echo $WORD; exit 3"]
    failed = site.launch(*words, nodes=1)
    again = madctl("rerun", "big", "--nnodes", "2", "--env", "WORD=b", "--output", "json", "--", "-c", "echo $WORD")

    told = [json.loads((tmp_path / status).read_text())["run_id"] for status in ("failed", "succeeded")]
    assert (failed.code, again.code) == (6, 0), again.err
    assert told == [failed.json["run_id"], again.json["run_id"]]
    assert len(re.findall(r"│ b$", again.err, re.M)) == 2 and "(big)" in again.err


IN_COPY = """\
import os, pathlib, own
here = pathlib.Path.cwd()
assert here == pathlib.Path(os.environ["MADCTL_RUN_DIR"], "code"), here
pathlib.Path("new").write_text(f"NUMBER = {own.NUMBER + 1}\\n")
os.replace("new", "own.py")
assert own.NUMBER > 1 or os.environ["NODE_RANK"] != "1"
"""


def test_code_of_this_machine_runs_in_pods_and_goes_with_the_run(site, tmp_path):
    code = tmp_path / "code"
    code.mkdir()
    (code / "train.py").write_text(IN_COPY)
    (code / "own.py").write_text("NUMBER = 1\n")
    (code / "noise").write_bytes(os.urandom(1_500_000))
    words = ["--sync", str(code), "--max-restarts", "1", "--command", "--", "python3", "-B", "train.py"]
    done = site.launch(*words)
    parts = [one for one in site.objects("configmaps") if "-code-" in one["metadata"]["name"]]
    shown = madctl("status").out
    (code / "noise").write_bytes(os.urandom(13_000_000))
    refused = site.launch(*words)
    removed = madctl("stop", "--force"), madctl("gc", "--days", "0")

    assert done.code == 0, done.err  # So the restart went on with what the first attempt had changed.
    assert len(parts) == 3 and f"code    {code}" in shown, shown
    assert (refused.code, refused.codes) == (2, ["SYNC_TOO_LARGE"])
    assert [one.code for one in removed] == [0, 0], removed
    wait_for(lambda: site.objects("configmaps") == [])

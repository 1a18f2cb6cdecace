# SPDX-License-Identifier: Apache-2.0
"""Check, collect and gc of runs in jobs of a real Slurm, and where the directories of runs may be."""

import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import run_directory
from madctl.lab import slurm as lab_slurm
from tests.integration import slurm_site
from tests.integration.command import JOBS, MADCTL, madctl, wait_for
from tests.integration.host_processes import on_host
from tests.integration.launchers import bounded
from tests.integration.slurm_site import ALL, ALONE, ORDERLY

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
    with bounded(waiting):
        while not any("Resources" in line or "Priority" in line for line in lines):
            lines.append(waiting.stderr.readline())
            assert lines[-1], lines
    waiting.send_signal(signal.SIGINT)
    _, said = waiting.communicate(timeout=120)

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
    waiting.communicate(timeout=120)

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


# -- collect ---------------------------------------------------------------------------------------


def files(place):
    """List the files below a directory; whether a short run was sampled is a matter of luck."""
    found = (path for path in place.rglob("*") if path.is_file() and path.name != run_directory.SAMPLES)
    return sorted(str(path.relative_to(place)) for path in found)


def on_nodes(site):
    """List what is left of runs on the nodes."""
    return {host.name: on_host(site.lab, host.name, "ls", "-A", "/var/tmp").stdout.split() for host in site.lab.hosts}


@pytest.fixture
def waiting(site):
    """A run that has printed a line on every node, and continues."""
    done = site.launch("--detach", "--command", "--", "bash", "-c", ORDERLY)
    run_id = done.json["run_id"]
    wait_for(lambda: site.run("logs", run_id).out.count("waiting") == ALL)
    return run_id


def test_what_is_collected_of_a_job_is_laid_out_as_over_ssh_and_nothing_is_left_on_nodes(site, tmp_path):
    before = on_nodes(site)
    script = (
        # The failure of one stops the others, so it has to wait until they are done, and they do not end early.
        "trap '' TERM; echo $NODE_RANK; echo two >&2; echo own > $MADCTL_RUN_DIR/own; mkdir $MADCTL_RUN_DIR/logs/sub; "
        "echo 2 > $MADCTL_RUN_DIR/logs/sub/own; : > /shared/$MADCTL_RUN_ID.$NODE_RANK; test $NODE_RANK != 1 && exit; "
        "while ! test -e /shared/$MADCTL_RUN_ID.0 -a -e /shared/$MADCTL_RUN_ID.2; do sleep 0.1; done; exit 1"
    )
    words = ["--output", "json", "--command", "--", "sh", "-c", script]
    assert site.run("launch", "--lab", site.lab.name, *words).code == 6
    assert site.run("collect", "--to", str(tmp_path / "ssh")).code == 0
    for host in site.lab.hosts:
        on_host(site.lab, host.name, "sh", "-c", "rm -rf /var/tmp/madctl-0")
    failed = site.launch("--command", "--", "sh", "-c", script)
    assert failed.code == 6 and on_nodes(site) == before, failed.err
    done = site.run("collect", "--to", str(tmp_path / "job"), "--output", "json")

    assert (done.code, done.json["warnings"]) == (0, []), done.err
    assert done.json["data"]["nodes"] == {host.name: str(tmp_path / "job" / host.name) for host in site.lab.hosts}
    assert done.json["data"]["run"]["status"] == "failed"
    assert files(tmp_path / "job") == files(tmp_path / "ssh") and len(files(tmp_path / "job")) > 3 * ALL
    for number, host in enumerate(site.lab.hosts):
        place = tmp_path / "job" / host.name
        assert (place / "logs/runner.out").read_text() == f"{number}\n" and (place / "own").read_text() == "own\n"
        assert (place / "logs/runner.err").read_text() == "two\n"
        assert json.loads((place / "exit.json").read_text())["exit_code"] == int(number == 1)
    assert place.stat().st_mode & 0o077 == 0
    again = site.run("collect", "--to", str(tmp_path / "job"))
    assert again.code == 0 and files(tmp_path / "job") == files(tmp_path / "ssh")


def test_a_run_that_goes_on_is_collected_as_far_as_it_is_and_again_at_its_end(site, waiting, tmp_path):
    done = site.run("collect", "--to", str(tmp_path), "--output", "json")
    assert done.code == 0 and [entry["code"] for entry in done.json["warnings"]] == ["FILES_LEFT_OUT"] * ALL
    assert "/var/tmp/madctl-0-" in done.json["warnings"][0]["message"]
    assert files(tmp_path / "node2") == ["logs/runner.out", "run.json"]

    assert site.run("stop", waiting).code == 0
    again = site.run("collect", "--to", str(tmp_path), "--output", "json")
    assert (again.code, again.json["warnings"]) == (0, [])
    assert (tmp_path / "node2/logs/runner.out").read_text() == "waiting\norderly\n"
    other = site.launch("--command", "--", "true")
    refused = site.run("collect", "--to", str(tmp_path), "--output", "json")
    assert other.code == 0 and refused.code == 2 and refused.codes == ["DEST_IN_USE"] * ALL


def test_a_run_that_was_killed_with_its_job_is_collected_with_a_word_on_what_is_missing(site, waiting, tmp_path):
    site.slurm("scancel", "--batch", "--signal=KILL", site.job_of(waiting))
    wait_for(lambda: site.jobs() == [])
    done = site.run("collect", "--to", str(tmp_path), "--output", "json")

    assert done.code == 0 and [entry["code"] for entry in done.json["warnings"]] == ["FILES_LEFT_OUT"] * ALL
    assert (tmp_path / "node3/logs/runner.out").read_text() == "waiting\n"
    for host in site.lab.hosts:
        on_host(site.lab, host.name, "sh", "-c", "rm -rf /var/tmp/madctl-0-*")
    shutil.rmtree(site.place(waiting))


def test_a_user_who_says_where_nodes_keep_their_part_finds_it_there(site, tmp_path):
    done = site.launch("--run-dir", "/var/tmp/kept", "--command", "--", "echo", "one")
    run_id = done.json["run_id"]
    collected = site.run("collect", "--to", str(tmp_path), "--output", "json")

    assert {tuple(kept) for kept in on_nodes(site).values()} >= {("kept",)} and done.code == 0
    assert collected.json["warnings"][0]["message"].endswith(f"/var/tmp/kept/{run_id}")
    assert (tmp_path / "node1/logs/runner.out").read_text() == "one\n"
    for host in site.lab.hosts:
        on_host(site.lab, host.name, "rm", "-rf", "/var/tmp/kept")


def test_of_a_log_that_the_story_has_not_whole_nodes_keep_the_newest(site, tmp_path):
    script = "head -c 3000000 /dev/zero | tr '\\0' x; echo; echo last"
    done = site.launch("--log-cap", "1M", "--command", "--", "sh", "-c", script, nodes=1)
    collected = site.run("collect", "--to", str(tmp_path))

    assert (done.code, collected.code) == (0, 0), collected.err
    logs = sorted((tmp_path / "node1/logs").glob("runner.out*"))
    assert any(path.read_text().endswith("\nlast\n") for path in logs), logs


def test_of_a_run_that_was_restarted_the_last_attempt_is_collected(site, tmp_path):
    script = f"echo $MADCTL_RUN_ID; test -e {site.runs}/again || {{ touch {site.runs}/again; exit 3; }}"
    done = site.launch("--max-restarts", "1", "--command", "--", "sh", "-c", script, nodes=1)
    (site.runs / "again").unlink()
    collected = site.run("collect", "--to", str(tmp_path))

    run_id = done.json["run_id"] + ("" if done.json["run_id"].endswith(".1") else ".1")
    assert (done.code, collected.code) == (0, 0), done.err + collected.err
    assert (tmp_path / "node1/logs/runner.out").read_text() == f"{run_id}\n"
    page = (tmp_path / "report.html").read_text()
    for part in (
        "Succeeded after",
        "attempt 1 failed: node1: the command failed: exit code 3",
        ">attempt 2<",
        "1 node answered",
        run_id,
    ):
        assert part in page, part
    assert "Nobody followed" not in page and "Incomplete" not in page
    assert json.loads((tmp_path / "node1/run.json").read_text())["run_id"] == run_id


# -- top -------------------------------------------------------------------------------------------


def test_what_a_run_in_a_job_uses_is_read_from_its_files(site, waiting):
    def top():
        done = site.run("top", waiting, "--output", "json")
        assert done.code == 0, done.err
        return done.json["data"]

    wait_for(lambda: [node["job"] is not None for node in top()["nodes"].values()] == [True] * ALL)
    going = top()
    assert site.run("stop", waiting).code == 0
    over = top()

    assert (going["is_over"], over["is_over"]) == (False, True)
    assert {node["state"] for node in going["nodes"].values()} == {"running"}
    assert {node["state"] for node in over["nodes"].values()} == {"exited"}
    assert all(node["job"]["processes"] >= 1 for node in over["nodes"].values())
    assert site.run("top", waiting).out.count("exited, last sample") == ALL


# -- gc --------------------------------------------------------------------------------------------


def test_gc_removes_what_ended_runs_in_jobs_left_and_nothing_of_one_that_slurm_still_has(site, waiting):
    for name in runs_of(site) - {waiting}:  # of a test before, which killed it: nobody knows how it ended
        shutil.rmtree(site.runs / name)
    ended = site.launch("--command", "--", "true").json["run_id"]
    assert site.state(site.job_of(ended)) == "COMPLETED"  # A job that is about to end keeps its run.
    checked = site.runs / "20200101-000000-00000000"
    shutil.copytree(site.place(ended), checked)  # as of a check whose madctl was killed
    unused, used = site.runs / "job-bin-0123456789abcdef", set(site.runs.glob("job-bin-*"))
    unused.mkdir()
    for path in (unused, *used):
        os.utime(path, (1, 1))

    dry = site.run("gc", "--days", "0", "--dry-run", "--output", "json").json["data"]
    assert site.place(ended).is_dir() and unused.is_dir() and ended in dry["records"]
    unasked = site.run("gc", "--days", "0", "--dry-run", "--output", "json", env={"PATH": str(MADCTL.parent)})
    assert unasked.code == 0 and [entry["code"] for entry in unasked.json["warnings"]] == ["SCHEDULER_MISSING"]
    kept = {entry["run_id"]: entry["why"] for entry in unasked.json["data"]["roots"][0]["kept"]}
    assert kept.keys() >= {ended, waiting, checked.name} and set(kept.values()) == {"Slurm does not answer"}

    done = site.run("gc", "--days", "0", "--output", "json")
    assert done.code == 0, done.err
    data = done.json["data"]
    (root,) = data["roots"]
    assert root["root"] == str(site.runs) and root == dry["roots"][0]
    assert {entry["run_id"] for entry in root["removed"]} == {ended, checked.name}
    assert root["kept"] == [{"run_id": waiting, "why": "running in Slurm"}] and data["records"] == [ended]
    assert not site.place(ended).exists() and not checked.exists() and not unused.exists()
    assert unused.name in {entry["name"] for entry in root["programs"]}
    script = (site.place(waiting) / "job.sh").read_text()
    assert [path.name for path in site.runs.glob("job-bin-*")] == [name for name in map(_name, used) if name in script]

    assert site.run("stop", waiting).code == 0
    assert f"{site.runs}: 1 run kept: 1 younger than 7 days" in site.run("gc").out.splitlines()
    assert f"{site.runs}: 1 run, " in site.run("gc", "--days", "0").out
    assert runs_of(site) == set() and madctl("ps", "--output", "json").json["data"]["runs"] == []


def _name(path):
    return path.name


# -- who launches, and how many ---------------------------------------------------------------------


def test_two_launches_at_once_are_two_runs_on_the_same_nodes(site):
    shutil.rmtree(site.runs)  # Both write our programs.
    launches = [site.begin("--command", "--", "sh", "-c", f"echo {name}; sleep 1") for name in ("one", "two")]
    said = [launch.communicate(timeout=200) for launch in launches]

    assert [launch.returncode for launch in launches] == [0, 0], said
    assert [(out.count("one"), out.count("two")) for out, _ in said] == [(ALL, 0), (0, ALL)]
    assert len(runs_of(site)) == 2 and len(list(site.runs.glob(".*"))) == 0


@pytest.fixture
def user(site):
    """A user of this machine that is not root, and has nothing."""
    name = f"madctl{uuid.uuid4().hex[:8]}"
    subprocess.run(["useradd", "-M", "-d", "/nonexistent", "-s", "/bin/sh", name], check=True)
    try:
        yield pwd.getpwnam(name)
    finally:
        wait_for(lambda: site.jobs() == [])  # A user who has processes stays.
        subprocess.run(["userdel", name], check=True)


def test_a_user_who_is_not_root_checks_launches_reads_collects_and_cleans_up(site, user):
    home = Path(site.lab.shared) / user.pw_name
    home.mkdir(0o700)
    os.chown(home, user.pw_uid, user.pw_gid)
    # Some other Python, as that of these tests may be where only root goes.
    python, libraries = "/usr/bin/python3", [path for path in sys.path if path.endswith("site-packages")]
    own = {"HOME": str(home), "XDG_STATE_HOME": str(home / "state"), "PYTHONDONTWRITEBYTECODE": "1"}
    paths = {"PYTHONPATH": os.pathsep.join([str(MADCTL.parents[2]), *libraries]), "PATH": "/usr/bin:/bin"}
    slurm = lab_slurm.environment(site.lab)

    def run(*words):
        argv = [python, "-m", "madctl", *words]
        as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        more = {"capture_output": True, "text": True, "cwd": home, "timeout": 200}
        return subprocess.run(argv, env={**own, **paths, **slurm}, **as_user, **more)

    before = on_nodes(site)
    if run("--version").returncode:
        pytest.skip("another user cannot read this checkout")
    words = ["--on", "slurm", "--nodes", str(ALL), "--run-root", str(home / "runs"), "--command", "--", "id", "-u"]
    checked, launched = run("check", *words), run("launch", *words)
    assert checked.returncode == 0, checked.stderr
    assert launched.returncode == 0 and launched.stdout.count(f"│ {user.pw_uid}\n") == ALL, launched.stderr
    collected = run("collect", "--to", str(home / "here"))
    assert collected.returncode == 0 and (home / "here/node3/logs/runner.out").read_text() == f"{user.pw_uid}\n"
    assert on_nodes(site) == before
    wait_for(lambda: site.jobs() == [])
    assert run("gc", "--days", "0").returncode == 0 and list((home / "runs").glob("2*")) == []
    shutil.rmtree(home)


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
        done = site.run(command, *words, timeout=120)
    finally:
        wait_for(lambda: site.jobs() == [])
        on_host(site.lab, "node2", "umount", str(root))
        shutil.rmtree(root)

    assert (done.code, done.codes) == (5, ["NODE_NOT_READY"]), done.err
    (error,) = done.json["errors"]
    assert error["host"] == "node2" and "--run-root" in error["remedy"], error


# -- again, and after the end ----------------------------------------------------------------------


def test_a_job_is_submitted_again_and_its_end_is_told_to_whoever_follows(site, tmp_path):
    tell = f"cat > {tmp_path}/$MADCTL_RUN_STATUS"
    failed = site.launch("--name", "big", "--on-end", tell, "--command", "--", "sh", "-c", "exit 3", nodes=1)
    again = madctl("rerun", "big", "--detach", "--without", "on-end", "--nodes", "2", "--", "-c", "echo again")
    attached = madctl("attach", "big", "--on-end", tell)
    listed = madctl("ps", "--output", "json").json["data"]["runs"]

    told = [json.loads((tmp_path / status).read_text()) for status in ("failed", "succeeded")]
    assert (failed.code, again.code, attached.code) == (6, 0, 0), again.err + attached.err
    assert [one["run_id"] for one in told] == [failed.json["run_id"], listed[0]["run_id"]]
    assert [(one["name"], len(one["hosts"])) for one in listed] == [("big", 2), ("big", 1)]
    assert attached.out.count("again") == 2

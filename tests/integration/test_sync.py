# SPDX-License-Identifier: Apache-2.0
"""``--sync``: code that only this machine has runs on hosts that share nothing with it."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration import bare_ansible
from tests.integration.command import madctl

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("own_records", "hosts_as_before")]
# What is wrong with the code is printed; the job changes its own copy.
TRAIN = """\
import os, pathlib, sys, lib.data
here = pathlib.Path.cwd()
assert here == pathlib.Path(os.environ["MADCTL_RUN_DIR"], "code"), here
assert sorted(os.listdir(os.fsencode("odd"))) == [b" a b", b"-rf", b"\\xff"], os.listdir("odd")
assert os.readlink("link") == "lib/data.py" and os.path.isdir("empty") and os.access("run.sh", os.X_OK)
assert not os.path.exists("data.bin") and not os.path.exists(".git")
pathlib.Path("lib/data.py").write_text("NUMBER = 2\\n")
pathlib.Path("loss.csv").write_text("1.0\\n")
print("number", lib.data.NUMBER)
"""


def run_git(place, *words):
    own = ("-c", "user.name=x", "-c", "user.email=x@y")
    subprocess.run(["git", *own, *words], cwd=place, check=True, capture_output=True)


@pytest.fixture
def code(tmp_path):
    """A repository with new files, that no host of the lab has: each has a /tmp of its own."""
    place = tmp_path / "code"
    for name in ("lib", "odd", "empty"):
        (place / name).mkdir(parents=True)
    (place / "train.py").write_text(TRAIN)
    (place / "lib/data.py").write_text("NUMBER = 1\n")
    (place / ".gitignore").write_text("*.bin\n__pycache__/\n")
    (place / "data.bin").write_text("large")
    run_git(place, "init", "-q", "-b", "main")
    run_git(place, "add", "-A")
    run_git(place, "commit", "-q", "-m", "one")
    for name in (b" a b", b"-rf", b"\xff"):
        with open(os.path.join(os.fsencode(place), b"odd", name), "wb") as stream:
            stream.write(name)
    (place / "run.sh").touch(0o755)
    (place / "link").symlink_to("lib/data.py")
    return place


@pytest.fixture
def send(lab, code):
    """Launch a script of the code on hosts of the lab."""

    def run(*words, hosts="node1,node2,node3", **more):
        options = ["--lab", lab.name, "--hosts", hosts, "--python", sys.executable, "--output", "json", "--sync", "."]
        return madctl("launch", *options, *words, **{"cwd": code, **more})

    return run


def test_code_is_sent_once_and_every_run_has_its_own(send, code, on, tmp_path):
    if shutil.which("git") is None:
        pytest.skip("needs git")
    first = send("--command", "--", sys.executable, "train.py")
    assert first.code == 0, first.err
    assert first.err.count("number 1") == 3
    assert re.search(r"^code    [0-9a-f]{7} on main, with changes; 7 files, .*; sent .* to 3 nodes$", first.err, re.M)

    second = send("--command", "--", sys.executable, "train.py")
    assert (second.code, second.err.count("number 1")) == (0, 3), second.err
    assert "; all nodes have it\n" in second.err
    (code / "new.py").touch()
    third = send("--command", "--", sys.executable, "train.py", hosts="node1")
    assert re.search(r"8 files, .*; sent \d+ bytes to 1 node$", third.err, re.M), third.err

    run_id = first.json["run_id"]
    assert on("node2", "cat", f"/var/tmp/madctl-0/{run_id}/code/lib/data.py") == "NUMBER = 2\n"
    _is_remembered(run_id)
    assert madctl("collect", run_id, "--to", str(tmp_path / "got")).code == 0
    got = [str(path.relative_to(tmp_path / "got/node3/code")) for path in (tmp_path / "got/node3/code").rglob("*.*")]
    assert sorted(path for path in got if not path.endswith(".pyc")) == ["lib/data.py", "loss.csv"]

    for host in ("node1", "node2", "node3"):
        on(host, "sh", "-c", "find /var/tmp/madctl-0 -exec touch -h -d '30 days ago' {} +")
    cleaned = madctl("gc")
    assert (cleaned.code, "tree" in cleaned.out) == (0, True), cleaned.err
    assert on("node2", "ls", "/var/tmp/madctl-0/sync") == ""


def _is_remembered(run_id):
    status = madctl("status", run_id, "--output", "json").json["data"]["run"]["code"]
    assert (status["branch"], status["dirty"], status["files"], len(status["commit"])) == ("main", True, 7, 40)
    [told] = re.findall(r"^code    [0-9a-f]{7} on main, with changes: (.*)$", madctl("status", run_id).out, re.M)
    assert Path(told).stat().st_mode & 0o777 == 0o600
    assert b"+++ b/run.sh" in Path(told).read_bytes() or b"new file mode 100755" in Path(told).read_bytes()


def test_a_restart_finds_what_the_attempt_before_has_written(send, code):
    (code / "again.py").write_text(
        "import pathlib, sys\nmark = pathlib.Path('checkpoint')\nif mark.exists():\n    print('found', mark.read_text())\n"
        "else:\n    mark.write_text('step 7')\n    sys.exit(3)\n"
    )
    done = send("--max-restarts", "1", "--command", "--", sys.executable, "again.py", hosts="node1")

    assert (done.code, done.err.count("found step 7")) == (0, 1), done.err


def test_a_full_disk_is_named_and_nothing_starts(send, code, on):
    (code / "large").write_bytes(os.urandom(3 << 20))
    on("node2", "sh", "-c", "mkdir /var/tmp/small && mount -t tmpfs -o size=4m,mode=0700 tmpfs /var/tmp/small")
    try:
        refused = send("--run-dir", "/var/tmp/small", "--command", "--", "true", hosts="node1,node2")
        spare = send("--run-dir", "/var/tmp/small", "--nnodes", "1", "--command", "--", "pwd", hosts="node2,node1")
    finally:
        on("node2", "sh", "-c", "umount /var/tmp/small && rmdir /var/tmp/small")
        on("node1", "rm", "-rf", "/var/tmp/small")
    [error] = refused.json["errors"]

    assert (refused.code, error["code"], error["host"]) == (3, "SYNC_FAILED", "node2"), refused.err
    assert "too little space" in error["message"] and "--run-dir" in error["remedy"]
    assert spare.code == 0 and [node["host"] for node in spare.json["data"]["nodes"]] == ["node1"], spare.err


def test_what_is_not_in_the_code_is_refused_before_anything_starts(send, code):
    everything = send("--sync", "/", "--", "train.py", hosts="node1")
    missing = send("missing.py", hosts="node1")
    module = send("--", "-m", "nothing.here", hosts="node1")

    assert (everything.code, everything.codes) == (2, ["SYNC_REFUSED"]), everything.err
    assert "/ is not synced: it is the whole file system" in everything.err
    assert (missing.code, missing.codes) == (2, ["SYNC_REFUSED"]), missing.err
    assert (module.code, module.codes) == (3, ["ENTRY_MISSING"]), module.err


def test_a_dry_run_and_a_check_judge_the_code(send, lab, code, on):
    before = on("node4", "ls", "/var/tmp/madctl-0/sync", check=False)
    planned = send("--dry-run", "--", "-m", "lib.data", hosts="node4")
    assert planned.code == 0, planned.err
    assert planned.json["data"]["nodes"][0]["cwd"].endswith("/code")
    assert on("node4", "ls", "/var/tmp/madctl-0/sync", check=False) == before

    options = ["--lab", lab.name, "--hosts", "node4", "--python", sys.executable, "--sync", "."]
    checked = madctl("check", *options, "--chdir", "lib", "data.py", cwd=code)
    assert checked.code == 0, checked.err


def test_a_playbook_sends_code_too(lab, code, tmp_path):
    program = Path(sys.executable).with_name("ansible-playbook")
    variables = {"madctl_work": [sys.executable, "train.py"], "madctl_shape": "command", "madctl_sync": str(code)}
    argv = [program, "madctl.multinode.launch", "-i", bare_ansible.inventory(lab), "--limit", "node1", "-e"]
    done = subprocess.run([*argv, json.dumps(variables)], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "number 1" in done.stdout, done.stdout
    assert "on main, with changes" in done.stdout

    variables["madctl_on"] = "slurm"
    refused = subprocess.run([*argv, json.dumps(variables)], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert refused.returncode and "madctl_sync needs madctl_on=ssh" in refused.stdout + refused.stderr


def test_a_directory_that_hosts_lack_is_told_how_to_send(launch, code):
    done = launch("train.py", cwd=code)

    assert done.codes == ["ENTRY_MISSING"] * 2
    assert "send it: --sync DIR" in done.json["errors"][0]["remedy"]

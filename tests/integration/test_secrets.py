# SPDX-License-Identifier: Apache-2.0
"""A secret of the environment is in the job and nowhere else: no command line, file, record or screen."""

import json
import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from madctl.lab import state
from tests.integration.command import JOBS, madctl, wait_for
from tests.integration.launchers import follow, launching

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("own_records", "hosts_as_before")]

# Not written down anywhere: hosts of a lab see this very file where the checkout lies.
CANARY = f"canary-{uuid.uuid4().hex}"


def test_a_secret_is_nowhere_but_in_the_job(lab, on, tmp_path):
    done = madctl(
        *launching(lab, "node1,node2"),
        "--env",
        "HF_TOKEN",
        "--detach",
        "--output",
        "json",
        "--",
        "wait.py",
        env={"HF_TOKEN": CANARY},
    )
    assert done.code == 0, done.err
    try:
        wait_for(lambda: madctl("logs").out.count("waiting") == 2)
        assert CANARY not in done.out + done.err
        for host in ("node1", "node2"):
            places = "/var/tmp/madctl-0 /tmp /run /root/.ansible"
            mark = f"{CANARY[:-1]}[{CANARY[-1]}]"  # Does not find itself in the command line that looks.
            look = f"cat /proc/[0-9]*/cmdline | tr '\\0' '\\n' | grep {mark}; grep -r {mark} {places}"
            assert on(host, "sh", "-c", look, check=False) == ""
        argv = ["grep", "-r", CANARY, os.environ["XDG_STATE_HOME"]]
        assert subprocess.run(argv, capture_output=True, text=True).stdout == ""
        assert madctl("status", "--output", "json").out.count(CANARY) == 0
    finally:
        assert madctl("stop", "--force").code == 0


def test_a_launcher_that_is_killed_leaves_no_secret(lab, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", CANARY)
    private = Path(os.environ["TMPDIR"])
    before = set(private.glob("madctl-*"))
    process, _ = follow(lab, "--env", "HF_TOKEN", "--", "wait.py", hosts="node1,node2")
    # Looked for before: Ansible, which is not killed, may remove them.
    places = set(private.glob("madctl-*")) - before
    process.kill()
    process.wait()
    found = subprocess.run(
        ["grep", "-r", CANARY, *places, os.environ["XDG_STATE_HOME"]], capture_output=True, text=True
    )
    stopped = madctl("stop", "--force")
    for place in places:
        shutil.rmtree(place, ignore_errors=True)

    assert places
    assert found.stdout == ""
    assert stopped.code == 0


def test_a_secret_that_the_job_prints_is_masked_on_the_screen(lab):
    argv = [*launching(lab, "node1"), "--env", "HF_TOKEN", "--command", "--", "sh", "-c", "echo token is $HF_TOKEN"]
    done = madctl(*argv, env={"HF_TOKEN": CANARY})

    assert "token is ***" in done.out
    assert CANARY not in done.out + done.err


def test_a_secret_is_in_no_word_that_a_playbook_says(lab, tmp_path):
    playbook = os.path.join(os.path.dirname(sys.executable), "ansible-playbook")
    inventory = str(state.directory(lab.name) / "inventory.yml")
    variables = tmp_path / "variables.json"
    variables.write_text(
        json.dumps({"madctl_work": ["true"], "madctl_shape": "command", "madctl_env": {"HF_TOKEN": CANARY}})
    )
    argv = [
        playbook,
        "-vvvvv",
        "madctl.multinode.launch",
        "-i",
        inventory,
        "--limit",
        "node1,node2",
        "-e",
        f"@{variables}",
    ]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, cwd=JOBS)

    assert done.returncode == 0, done.stdout[-3000:]
    assert CANARY not in done.stdout + done.stderr

# SPDX-License-Identifier: Apache-2.0
"""A run that this machine cannot remember, or remembers twice, is not lost."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.command import MADCTL, madctl

pytestmark = pytest.mark.lab


def test_no_run_starts_that_cannot_be_remembered(lab, on, tmp_path):
    state = tmp_path / "state"
    state.write_text("")
    words = ["--lab", lab.name, "--hosts", "node1,node2", "--detach", "--command", "--output", "json"]
    environment = {"XDG_STATE_HOME": str(state)}
    done = madctl("launch", *words, "--", "sleep", "4242", env=environment)

    assert (done.code, done.codes) == (2, ["RECORD_UNWRITABLE"])
    assert on("node1", "pgrep", "-f", "sleep 4242", check=False) == ""
    done = madctl("stop", env=environment)
    assert done.code == 2 and "no run is remembered" not in done.err and "[RECORD_UNREADABLE]" in done.err


def test_a_restarted_run_keeps_its_id_when_nodes_are_asked(lab, launch):
    words = ["--max-restarts", "1", "--command"]
    done = launch(*words, "--", "sh", "-c", "sleep 1; exit 3")
    run_id = done.json["run_id"].partition(".")[0]
    assert done.code == 6 and len(done.json["data"]["restarts"]) == 1
    held = madctl("ps", "--lab", lab.name, "--hosts", "node1,node2", "--output", "json")
    assert held.code == 0

    assert {run["run_id"]: run["remembered"] for run in held.json["data"]["runs"]}[f"{run_id}.1"] is True
    for command in ("status", "stop", "logs"):
        said = madctl(command, run_id)
        assert said.code == 0, said.err


def test_what_a_disk_does_not_take_is_no_success(lab):
    options = ["--lab", lab.name, "--hosts", "node1", "--python", sys.executable, "--command"]
    with Path("/dev/full").open("w") as full:
        argv = [str(MADCTL), "launch", *options, "--", "echo", "x"]
        done = subprocess.run(argv, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120, check=False)

    assert done.returncode == 1
    assert "succeeded after" in done.stderr and "[OUTPUT_LOST]" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_name_that_a_job_gives_itself_reaches_no_terminal(lab, launch):
    script = r"""
import ctypes, os, time
name = b"\x1b]0;x\x07\nmadctl:"
if os.fork() == 0:
    os.setsid()
    ctypes.CDLL(None).prctl(15, name, 0, 0, 0)
    import signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)
"""
    done = launch("--command", "--", sys.executable, "-c", script, hosts="node1")
    lines = done.err.splitlines()

    assert json.loads(done.out)["exit_code"] == done.code
    assert "\x1b" not in done.err + done.out and "\x07" not in done.err + done.out
    assert not [line for line in lines if line == "madctl:"], lines

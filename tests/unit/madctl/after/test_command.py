# SPDX-License-Identifier: Apache-2.0
"""The command after the end: what it gets, that it ends, and that nothing of it moves the cursor."""

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from madctl.after import command
from madctl.errors import Problem
from madctl.result import Result
from tests import hostile
from tests.unit.module_utils.agent_by_hand import until

RESULT = Result("launch", "failed", 6, "20261101-120000-aaaaaaaa", {"nodes": []}, [Problem("RANK_FAILED", "é", "a")])


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(line, result, name, leaving=None, seconds=60.0):
    return command.run(line, result, name, leaving or threading.Event(), seconds)


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_it_gets_the_result_and_what_it_is_about_and_is_no_process_of_the_run(monkeypatch):
    """With the id in its environment, madctl stop would end it, and gc would leave the run."""
    monkeypatch.setenv("MADCTL_RUN_ID", "another run")
    assert run("cat > got; echo $MADCTL_RUN_ID > id; env > variables", RESULT, "big") is None

    got, said = json.loads(Path("got").read_text()), Path("variables").read_text().splitlines()
    assert (got["status"], got["run_id"], got["errors"][0]["message"]) == ("failed", RESULT.run_id, "é")
    assert Path("id").read_text() == f"{RESULT.run_id}\n"
    assert {line for line in said if line.startswith("MADCTL_RUN_")} == {
        "MADCTL_RUN_NAME=big",
        "MADCTL_RUN_STATUS=failed",
        "MADCTL_RUN_EXIT_CODE=6",
    }


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("true", None),
        ("exit 3", "the command ended with exit code 3"),
        ("kill -9 $$", "the command was killed by signal 9"),
        ("no-such-program", "the command ended with exit code 127"),
        ("if", "the command ended with exit code 2"),
        ("a\0b", "the command could not be started: embedded null byte"),
    ],
)
def test_how_it_ended(line, wrong):
    assert run(line, RESULT, None) == wrong


def test_a_machine_without_a_shell(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")

    assert run("true", RESULT, None) == "the command could not be started: no such file or directory"


STARTS = "sleep 600 & echo $! > pids.new; echo $$ >> pids.new; mv pids.new pids; wait; wait"


@pytest.mark.parametrize("line", [STARTS, f"trap '' TERM; {STARTS}"])
def test_one_that_is_ended_is_killed_with_what_it_started(line, monkeypatch):
    monkeypatch.setattr(command, "_GRACE_SECONDS", 0.2)
    leaving = threading.Event()

    def leave():
        while not Path("pids").exists():
            time.sleep(0.01)
        leaving.set()

    threading.Thread(target=leave, daemon=True).start()
    assert run(line, RESULT, None, leaving) == "interrupted"

    pids = [int(pid) for pid in Path("pids").read_text().split()]
    assert len(pids) == 2
    until(lambda: not any(map(is_alive, pids)))


def test_one_that_does_not_end_has_a_limit():
    assert run("exec sleep 600", RESULT, None, seconds=1.0) == "the command did not end within 1 s, so it was killed"


def test_what_it_leaves_in_the_background_is_not_waited_for():
    assert run("sleep 600 & echo $! > pid; echo begun", RESULT, None) is None

    pid = int(Path("pid").read_text())
    assert is_alive(pid)
    os.kill(pid, signal.SIGKILL)


def test_it_need_not_read_a_large_result():
    large = Result("launch", "succeeded", 0, "r", {"nodes": ["x" * 1000] * 1000})

    assert run("true", large, None) is None


def test_its_output_is_lines_of_ours_and_has_a_bound(capsys):
    text = "".join(hostile.LANGUAGES.values()) + "\x1b]0;x\x07\nmadctl: node1: forged\n"
    Path("text").write_text(text)
    assert run("cat text; cat text >&2; yes | head -c 1000000", RESULT, None) is None
    shown = capsys.readouterr()

    assert shown.out == "" and len(shown.err) < 1_000_000
    lines = shown.err.splitlines()
    assert lines[-1] == "on-end  … only the first 64 KiB are shown"
    assert all(line.startswith("on-end ") and hostile.is_harmless(line.expandtabs()) for line in lines)
    assert "on-end  madctl: node1: forged" in lines

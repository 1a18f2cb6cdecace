# SPDX-License-Identifier: Apache-2.0
"""The demo without root; the README's test runs it as root."""

import os
import subprocess

import pytest

from tests.integration.command import ALONE, MADCTL
from tests.integration.reader_shell import BIN, ROOT

pytest.importorskip("torch")

# The files are still ours, the user's number is another, and its runs end with the mount.
WITHOUT_RUNS = 'mount -t tmpfs -o mode=1777 tmpfs /var/tmp && exec unshare --user "$@"'
NOT_ROOT = [*ALONE, "sh", "-c", WITHOUT_RUNS, "sh"]


def test_without_root_it_runs_on_this_machine_and_what_it_says_next_can_be_typed(tmp_path):
    user = NOT_ROOT if os.geteuid() == 0 else []
    (tmp_path / ".venv").symlink_to(BIN.parent)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    path = f"{BIN}:{os.environ['PATH']}"  # as after the activation that it names
    environment = {
        **os.environ,
        "PATH": path,
        "HOME": str(tmp_path),
        "XDG_STATE_HOME": str(tmp_path),
        "TMPDIR": str(tmp_path),
    }
    more = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True, "timeout": 300}

    done = subprocess.run([*user, "examples/demo.sh"], **more)

    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert said[0].startswith("not root")
    assert sum("saved" in line for line in said) == 4
    assert "ValueError: loss is NaN" in done.stdout
    assert "[RANK_FAILED]" in done.stderr
    words = said[-1].split()
    assert words[:2] == ["madctl", "launch"]
    again = subprocess.run([*user, str(MADCTL), *words[1:]], **more)
    assert again.returncode == 0, again.stderr
    assert "continuing after epoch 4" in again.stdout

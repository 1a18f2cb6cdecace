# SPDX-License-Identifier: Apache-2.0
"""
Threads of a script's process group end before Python does.

Gloo's threads release Python objects, for which they need Python's lock; once Python is ending, that aborts the process.
On a busy machine, one thread in some hundred launches was late enough.
"""

import os
import subprocess
import sys

import pytest

from tests.integration.documents import steps
from tests.integration.reader_shell import ROOT, File

pytest.importorskip("torch")

# The kernel lists a thread for a moment after it was joined; one that nobody has told to end stays.
AT_END = """
import atexit, os, time

def names():
    for task in os.listdir("/proc/self/task"):
        try:
            yield open(f"/proc/self/task/{task}/comm").read().strip()
        except OSError:
            pass  # It has ended.

def print_threads():
    deadline = time.monotonic() + 5
    while any("gloo" in name or "pt_" in name for name in names()) and time.monotonic() < deadline:
        time.sleep(0.01)
    print("left:", sorted(names()))

atexit.register(print_threads)
"""
GUIDE = ROOT / "docs/how_to/checkpoints.md"


def train(tmp_path, script, *words):
    """Run a script as the only rank, and return what it prints; the last line has the threads that are left."""
    (tmp_path / "sitecustomize.py").write_text(AT_END)
    environment = {
        **os.environ,
        "PYTHONPATH": str(tmp_path),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "0",
        "RANK": "0",
        "WORLD_SIZE": "1",
        "MADCTL_ATTEMPT": "1",
    }
    argv = [sys.executable, str(script), *words]
    done = subprocess.run(argv, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def resume(tmp_path):
    """Return the script that the guide to checkpoints shows."""
    (text,) = (step.text for step in steps(GUIDE) if isinstance(step, File) and step.path == "resume.py")
    path = tmp_path / "resume.py"
    path.write_text(text.replace("/shared/", f"{tmp_path}/"))
    return path


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("examples/train.py", ("--checkpoint", "model.pt", "--epochs", "1", "--steps", "3")),
        ("examples/project/src/train.py", ("--epochs", "3")),
        ("examples/all_reduce.py", ()),
        ("resume.py", ()),
    ],
)
def test_no_thread_of_the_group_is_left_at_the_end(tmp_path, script, words):
    path = resume(tmp_path) if script == "resume.py" else ROOT / script
    *_, left = train(tmp_path, path, *words)

    assert left.startswith("left:") and "python" in left, left
    assert "gloo" not in left and "pt_" not in left, left

# SPDX-License-Identifier: Apache-2.0
"""What people write as work: what it means, and what is refused before anything starts."""

import os
import sys

import pytest

from tests.integration.command import JOBS

pytestmark = pytest.mark.lab


def test_a_launcher_behind_a_script_is_no_success(launch):
    done = launch("--nproc-per-node", "1", "--", "./wrapped.sh", sys.executable)

    assert (done.code, done.codes) == (6, ["WORLD_DIFFERS"]), done.err
    error = done.json["errors"][0]
    assert error["host"] in ("node1", "node2")
    assert "a world of its own, of size 1" in error["message"]


def test_python_as_the_first_word_is_the_job_s_python(launch):
    done = launch("--nproc-per-node", "1", "--", "python", "-u", "world.py")

    assert done.code == 0, done.err
    assert done.err.count("WORLD 2 RANK") == 2


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--", "nosuchprogram"], "ENTRY_MISSING", "is not on the PATH"),
        (["--command", "--", f"{JOBS}/plain.sh"], "ENTRY_UNUSABLE", "is not executable"),
        (["--", "-m", "no.such.module"], "ENTRY_MISSING", "does not find module no.such.module"),
    ],
)
def test_what_cannot_be_executed_is_found_before_the_start(launch, words, code, says):
    done = launch(*words)

    assert (done.code, done.codes) == (3, [code, code]), done.err
    assert says in done.json["errors"][0]["message"]


def test_a_relative_command_in_a_directory_that_nodes_lack(launch, tmp_path):
    (tmp_path / "run.sh").write_text("echo ran\n")
    refused = launch("--command", "--", "bash", "run.sh", cwd=tmp_path)
    absolute = launch("--command", "--", "bash", f"{JOBS}/plain.sh", cwd=tmp_path)

    assert (refused.code, set(refused.codes)) == (3, {"ENTRY_MISSING"})
    assert "--chdir" in refused.json["errors"][0]["remedy"]
    assert absolute.code == 0, absolute.err
    assert f"ran in {os.path.expanduser('~root')}" in absolute.err

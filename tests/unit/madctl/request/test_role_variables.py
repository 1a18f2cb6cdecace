# SPDX-License-Identifier: Apache-2.0
"""What madctl's command line makes of the work, and refuses, before any node is asked."""

import shlex
import types

import pytest

from madctl import cli
from madctl.errors import ExitCode, UsageError
from madctl.request import role_variables


def variables(line):
    options = cli.parsed(["launch", "--hosts", "a,b", *shlex.split(line)])
    return role_variables.launch_variables(options, {"PATH": "/usr/bin:/bin"})


def refused(line):
    with pytest.raises(UsageError) as caught:
        variables(line)
    assert caught.value.exit_code == ExitCode.USAGE
    return caught.value.problems[0]


@pytest.mark.parametrize("line", ["--idle-timeout 60", "--max-restarts 1"])
def test_what_needs_a_follower_is_refused_to_who_lets_go_unless_a_job_follows_itself(line):
    assert refused(f"--detach {line} -- train.py").message == f"{line.split()[0]} needs a process that follows"

    options = cli.parsed(["launch", "--on", "slurm", "--nodes", "2", "--detach", *line.split(), "--", "train.py"])
    assert role_variables.launch_variables(options, {"PATH": "/usr/bin:/bin"})["madctl_detach"] is True


def test_a_launcher_in_a_launcher_is_refused_with_what_to_write():
    found = refused("--nproc-per-node 1 -- torchrun --nproc-per-node 1 world.py")

    assert (found.code, found.host) == ("WORK_IS_LAUNCHER", None)
    assert found.remedy == "leave it out, madctl starts torchrun: --nproc-per-node 1 -- world.py"


@pytest.mark.parametrize("line", ["''", "-- ''", "--command -- '' x", "--runner mpirun -- ''"])
def test_an_empty_word_is_not_a_script(line):
    found = refused(line)

    assert (found.code, found.message) == ("WORK_MISSING", "the script is an empty word")


def test_a_launcher_under_mpirun_is_refused_too():
    assert refused("--runner mpirun -- mpirun -np 2 a.out").code == "WORK_IS_LAUNCHER"


def test_a_command_may_be_a_launcher():
    assert variables("--command -- accelerate launch a.py")["madctl_work"] == ["accelerate", "launch", "a.py"]


def test_a_path_of_a_python_is_the_job_s_python():
    found = variables("-- /opt/venv/bin/python3 -u train.py")

    assert (found["madctl_python"], found["madctl_python_required"]) == ("/opt/venv/bin/python3", True)


def test_two_pythons_are_refused():
    assert refused("--python /opt/a/python -- /opt/b/python train.py").code == "USAGE"
    assert variables("--python /opt/a/python -- /opt/a/python train.py")["madctl_python"] == "/opt/a/python"


@pytest.mark.parametrize("line", ["python", "python3 -u", "/usr/bin/python3 -X dev"])
def test_a_python_needs_something_to_run(line):
    assert refused("-- " + line).code == "WORK_MISSING"


def test_a_line_of_an_env_file_ends_at_its_newline_and_is_never_shown(tmp_path):
    path = tmp_path / "env"
    path.write_bytes("\ufeffA=1\x0cLD_PRELOAD=x\r\n# no\nB=2\u2028C=3\n".encode())
    options = types.SimpleNamespace(env=[], env_file=str(path))
    assert role_variables._environment(options, {}) == {"A": "1\x0cLD_PRELOAD=x", "B": "2\u2028C=3"}

    path.write_text("A=1\ntok SECRET\n")
    with pytest.raises(UsageError) as refused:
        role_variables._environment(options, {})
    assert "line 2" in str(refused.value) and "SECRET" not in str(refused.value)
    options.env_file = "/dev/zero"
    with pytest.raises(UsageError, match="longer than"):
        role_variables._environment(options, {})


def test_code_is_sent_from_a_path_and_becomes_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = variables("--sync code/.. -- train.py")
    assert (found["madctl_sync"], "madctl_chdir" in found) == (str(tmp_path), False)
    assert variables("--sync . --chdir src -- train.py")["madctl_chdir"] == "src"
    assert "madctl_sync" not in variables("-- train.py")

    odd = tmp_path / "a\nb"
    odd.mkdir()
    monkeypatch.chdir(odd)
    assert refused("--sync . -- train.py").code == "SYNC_REFUSED"


def test_code_is_not_sent_to_another_login_node(capsys):
    where = "--on slurm --nodes 2 --run-root /r --login a"
    assert cli.main(["launch", *where.split(), "--sync", ".", "--", "train.py"]) == ExitCode.USAGE
    assert "--sync and --login exclude each other" in capsys.readouterr().err


def test_the_name_of_the_directory_to_sync_is_not_empty():
    assert cli.main(["launch", "--hosts", "a", "--sync", "", "--", "train.py"]) == ExitCode.USAGE

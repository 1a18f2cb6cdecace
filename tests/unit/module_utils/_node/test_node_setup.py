# SPDX-License-Identifier: Apache-2.0
"""A setup: what it leaves to the job, and what counts as its failure."""

import os

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes
from ansible_collections.madctl.multinode.plugins.module_utils._node import executables, node_setup
from tests.unit.module_utils.agent_by_hand import is_gone, until

# What is started here carries the mark of a run, and a run is looked for on the whole machine.
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("alone")]

BEFORE = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/", "MADCTL_RUN_ID": "r", "SHLVL": "7"}


@pytest.fixture(params=["bash", "sh"])
def shell(request, monkeypatch):
    """Run setups by a shell that a node may have."""
    if request.param == "sh":
        found = executables.which
        monkeypatch.setattr(executables, "which", lambda name, path=None: None if name == "bash" else found(name, path))
    return request.param


@pytest.fixture
def setup(tmp_path):
    def run(text, seconds=60.0, login=False):
        return node_setup.run({"text": text, "login": login, "seconds": seconds}, str(tmp_path), BEFORE)

    return run


def test_the_job_gets_what_a_shell_would_leave_to_it(shell, setup, tmp_path):
    (tmp_path / "inner").mkdir()
    text = "export A='x y\nz' B=1 MADCTL_RUN_ID=other\nunset HOME; C=3; cd inner; umask 027; ulimit -n 77; echo said"
    left = setup(text)

    assert (left.env["A"], left.env["B"]) == ("x y\nz", "1")
    assert not {"HOME", "C", "_"} & set(left.env) and left.env["SHLVL"] == "7"
    assert (left.cwd, left.umask, left.limits["RLIMIT_NOFILE"]) == (str(tmp_path / "inner"), 0o027, [77, 77])
    assert set(left.limits) <= {"RLIMIT_NOFILE", "RLIMIT_OFILE"}
    assert (left.out, left.err) == (b"said\n", b"")
    assert node_setup.marked(left.env, BEFORE)["MADCTL_RUN_ID"] == "r"


def test_a_sourced_script_takes_no_word_of_ours_for_its_own(shell, setup, tmp_path):
    (tmp_path / "vars.sh").write_text('export GOT="$#:$*"\nset -- a b\nshift\n')

    assert setup(". ./vars.sh").env["GOT"] == "0:"


def test_bytes_that_are_no_utf8_are_kept(shell, setup):
    assert os.fsencode(setup("export A=$(printf 'x\\377')").env["A"]) == b"x\xff"


def test_what_functions_and_sourced_files_do_inside_is_their_own_business(setup, tmp_path):
    (tmp_path / "activate").write_text("false\nexport VENV=1\nhash -d nothing 2>/dev/null\ntrue\n")
    left = setup("source activate; f() { false; export F=1; }; f; [ -e no ] && echo; false || true; ! true | false")

    assert (left.env["VENV"], left.env["F"]) == ("1", "1")


def test_a_function_is_left_to_scripts(setup):
    assert "BASH_FUNC_module%%" in setup("module() { echo loaded; }; export -f module").env


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("module load cuda; echo no", "exit code 127: setup: line 1: module: command not found"),
        ("true\nmodul load", "exit code 127: setup: line 2: modul: command not found"),
        ("(exit 3); echo no", "exit code 3"),
        ("source ./nothing; echo no", "exit code 1: setup: line 1: ./nothing: No such file or directory"),
        ("echo out; echo one >&2; echo two >&2; echo three >&2; exit 4", "exit code 4: two | three"),
        ("echo only; false", "exit code 1: only"),
        ("if true; then", "exit code 2"),
        ("exit", "it ended its shell"),
        ("exec true", "it ended its shell"),
        ("kill -9 $$", "signal 9"),
    ],
)
def test_a_command_that_fails_fails_the_setup(setup, text, why):
    with pytest.raises(node_setup.SetupError) as caught:
        setup(text)

    assert str(caught.value).startswith(f"the setup failed: {why}")


@pytest.mark.parametrize("text", ["false; echo no", "exit 0", ". ./nothing; echo no"])
def test_a_node_without_bash_notices_it_too(shell, setup, text):
    with pytest.raises(node_setup.SetupError, match="^the setup failed: "):
        setup(text)


@pytest.mark.parametrize("text", ["sleep 600", "yes", "exec >&- 2>&-; sleep 600", "trap '' TERM; sleep 600"])
def test_a_setup_that_hangs_is_killed_with_what_it_started(setup, tmp_path, text):
    with pytest.raises(node_setup.SetupError, match="^the setup did not end in 3 s"):
        setup(f"sleep 600 & echo $! > pid; {text}", seconds=3.0)

    pid = int((tmp_path / "pid").read_text())
    until(lambda: is_gone(pid))


def test_a_background_process_is_not_waited_for(setup, tmp_path):
    left = setup("sleep 600 & echo $! > pid; export A=1")
    os.kill(int((tmp_path / "pid").read_text()), 9)

    assert left.env["A"] == "1"


def test_only_the_newest_output_is_kept(setup):
    left = setup("head -c 3000000 /dev/zero | tr '\\0' x; echo the end")

    assert len(left.out) == node_setup.KEPT_BYTES and left.out.endswith(b"x" * 9 + b"the end\n")


def test_a_login_shell_reads_the_profile(tmp_path):
    (tmp_path / ".profile").write_text("export FROM_PROFILE=1\n")
    home = {**BEFORE, "HOME": str(tmp_path)}
    found = [
        node_setup.run({"text": "", "login": login, "seconds": 60.0}, "/", home).env.get("FROM_PROFILE")
        for login in (True, False)
    ]

    assert found == ["1", None]


def test_a_directory_that_is_gone_is_said(tmp_path):
    with pytest.raises(node_setup.SetupError, match="^the setup cannot be run: .*No such file"):
        node_setup.run({"text": "", "login": False, "seconds": 5.0}, str(tmp_path / "no"), BEFORE)


def test_a_missing_function_has_a_remedy_of_its_own():
    remedies = [codes.setup_failed("a", f"the setup failed: exit code {code}: x")["remedy"] for code in (127, 1)]

    assert remedies[0].endswith("--login-shell") and remedies[1] == "try it there by hand, with bash -c"

# SPDX-License-Identifier: Apache-2.0
"""What madctl gives to shells: completion that real shells use, a manual page, and no slow start."""

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pexpect
import pytest

ROOT = Path(__file__).parents[4]
# Calls the completion as bash does when Tab is pressed after these words.
TAB = """
source "$COMPLETION"
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
function=$(complete -p madctl | sed 's/.* -F \\([^ ]*\\) .*/\\1/')
"$function" madctl "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
echo "${COMPREPLY[@]}"
"""


@functools.cache
def script(shell):
    """Write the script for a shell, once for all tests."""
    return subprocess.check_output([sys.executable, "-m", "madctl", "completion", shell])


def completed(*words, **environment):
    argv = ["bash", "--norc", "-c", TAB, "bash", *words]
    with tempfile.NamedTemporaryFile() as file:
        file.write(script("bash"))
        file.flush()
        environment = {**os.environ, "COMPLETION": file.name, **environment}
        done = subprocess.run(argv, capture_output=True, text=True, env=environment)
    assert done.stderr == ""
    return done.stdout.split()


COMPLETED = pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param(("madctl", "la"), ["launch", "lab"], id="command"),
        pytest.param(("madctl", "lab", "u"), ["up"], id="verb"),
        pytest.param(("madctl", "launch", "--hostf"), ["--hostfile"], id="option"),
        pytest.param(("madctl", "launch", "--runner", "m"), ["mpirun"], id="value"),
        pytest.param(("madctl", "launch", "--skip", "clo"), ["clock"], id="check"),
    ],
)


@COMPLETED
def test_bash_completes(words, expected):
    assert completed(*words) == expected


@pytest.fixture
def remembered(tmp_path):
    """A directory with a file, and two remembered runs as its state."""
    runs = tmp_path / "madctl" / "runs"
    runs.mkdir(parents=True)
    for name in ("20261125-101500-aa.json", "20261125-101500-aa.perf.csv", "20261126-101500-bb.json"):
        (runs / name).touch()
    (tmp_path / "nodes").touch()
    return tmp_path


def test_bash_completes_files_and_runs(remembered):
    state = {"XDG_STATE_HOME": str(remembered)}

    assert completed("madctl", "stop", "20261125", **state) == ["20261125-101500-aa"]
    assert completed("madctl", "check", "--hostfile", f"{remembered}/no") == [f"{remembered}/nodes"]
    assert completed("madctl", "launch", "--hosts", "a", f"{remembered}/no") == [f"{remembered}/nodes"]


def fish(*words, **environment):
    """Return what a real fish offers when Tab is pressed after these words, without its explanations."""
    argv = ["fish", "--no-config", "-c", 'source $argv[1]; complete --do-complete "$argv[2]"']
    with tempfile.NamedTemporaryFile() as file:
        file.write(script("fish"))
        file.flush()
        environment = {**os.environ, "HOME": "/nonexistent", **environment}
        done = subprocess.run([*argv, file.name, " ".join(words)], capture_output=True, text=True, env=environment)
    assert done.stderr == ""
    return [line.partition("\t")[0] for line in done.stdout.splitlines()]


needs_fish = pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")


@needs_fish
@COMPLETED
def test_fish_completes(words, expected):
    assert sorted(fish(*words)) == sorted(expected)


@needs_fish
def test_fish_completes_files_and_runs(remembered):
    state = {"XDG_STATE_HOME": str(remembered)}

    assert fish("madctl", "stop", "20261125", **state) == ["20261125-101500-aa"]
    assert fish("madctl", "stop", "", **{**state, "XDG_STATE_HOME": "/nonexistent"}) == []
    assert fish("madctl", "check", "--hostfile", f"{remembered}/no") == [f"{remembered}/nodes"]
    assert fish("madctl", "launch", "--hosts", "a", f"{remembered}/no") == [f"{remembered}/nodes"]


needs_zsh = pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")


@needs_zsh
def test_zsh_takes_it():
    text = 'autoload -U compinit && compinit -D -u; eval "$($PYTHON -m madctl completion zsh)"; echo $_comps[madctl]'
    argv = ["zsh", "-f", "-c", text]
    done = subprocess.run(argv, capture_output=True, text=True, env={**os.environ, "PYTHON": sys.executable})

    assert (done.stdout.strip() != "", done.stderr) == (True, "")


@needs_zsh
def test_zsh_completes(remembered):
    (remembered / "completion").write_bytes(script("zsh"))
    environment = {**os.environ, "XDG_STATE_HOME": str(remembered), "PS1": "> ", "TERM": "xterm"}
    shell = pexpect.spawn("zsh", ["-f"], env=environment, cwd=remembered, encoding="utf-8", timeout=120)
    shell.sendline("autoload -U compinit && compinit -D -u; eval \"$(<completion)\"; print -r read''y")
    shell.expect("ready")

    ends = {"lau": "launch", "stop 20261125": "20261125-101500-aa", "stop --fo": "--force", "launch no": "nodes"}
    for typed, expected in ends.items():
        # The line editor has both in its line when it has completed the word; then the line is thrown away.
        shell.send(f"madctl {typed}\t")
        shell.expect_exact(expected.removeprefix(typed.split()[-1]))
        shell.sendcontrol("u")
    shell.close(force=True)


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_troff_understands_the_manual_page():
    argv = ["groff", "-man", "-Tascii", "-P-cbou", "-ww", "-b", str(ROOT / "docs/man/madctl.1")]
    done = subprocess.run(argv, capture_output=True, text=True)

    assert done.stderr == ""
    for expected in ("--shared-path PATH[:ro]", "madctl lab up -n 4", "EXIT STATUS", "NO_COLOR", "~/.config/fish"):
        assert expected in done.stdout


def test_help_loads_nothing_that_takes_its_time():
    code = (
        "import sys; from madctl.cli import main; sys.argv[1:] = ['--help']\n"
        "try: main()\nexcept SystemExit: pass\nprint(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stderr.split()}

    assert "COMMAND" in done.stdout
    assert not loaded & {"ansible", "ansible_runner", "ClusterShell", "jinja2", "platformdirs", "shtab", "yaml"}

# SPDX-License-Identifier: Apache-2.0
"""What madctl gives to shells: completion that a real bash uses, a manual page, and no slow start."""

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

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
def for_bash():
    """Write the script for bash, once for all tests."""
    return subprocess.check_output([sys.executable, "-m", "madctl", "completion", "bash"])


def completed(*words, **environment):
    argv = ["bash", "--norc", "-c", TAB, "bash", *words]
    with tempfile.NamedTemporaryFile() as script:
        script.write(for_bash())
        script.flush()
        environment = {**os.environ, "COMPLETION": script.name, **environment}
        done = subprocess.run(argv, capture_output=True, text=True, env=environment)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param(("madctl", "la"), ["launch", "lab"], id="command"),
        pytest.param(("madctl", "lab", "u"), ["up"], id="verb"),
        pytest.param(("madctl", "launch", "--hostf"), ["--hostfile"], id="option"),
        pytest.param(("madctl", "launch", "--runner", "m"), ["mpirun"], id="value"),
        pytest.param(("madctl", "launch", "--skip", "clo"), ["clock"], id="check"),
    ],
)
def test_bash_completes(words, expected):
    assert completed(*words) == expected


def test_bash_completes_files_and_runs(tmp_path):
    runs = tmp_path / "madctl" / "runs"
    runs.mkdir(parents=True)
    for name in ("20261125-101500-aa.json", "20261125-101500-aa.perf.csv", "20261126-101500-bb.json"):
        (runs / name).touch()
    (tmp_path / "nodes").touch()

    assert completed("madctl", "stop", "20261125", XDG_STATE_HOME=str(tmp_path)) == ["20261125-101500-aa"]
    assert completed("madctl", "check", "--hostfile", f"{tmp_path}/no") == [f"{tmp_path}/nodes"]


def test_zsh_gets_its_own():
    done = subprocess.run([sys.executable, "-m", "madctl", "completion", "zsh"], capture_output=True, text=True)

    assert done.stdout.startswith("#compdef madctl")
    assert "_madctl_runs()" in done.stdout


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh_takes_it():
    script = 'autoload -U compinit && compinit -D -u; eval "$($PYTHON -m madctl completion zsh)"; echo $_comps[madctl]'
    argv = ["zsh", "-f", "-c", script]
    done = subprocess.run(argv, capture_output=True, text=True, env={**os.environ, "PYTHON": sys.executable})

    assert (done.stdout.strip() != "", done.stderr) == (True, "")


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_troff_understands_the_manual_page():
    argv = ["groff", "-man", "-Tascii", "-P-cbou", "-ww", "-b", str(ROOT / "docs/man/madctl.1")]
    done = subprocess.run(argv, capture_output=True, text=True)

    assert done.stderr == ""
    for expected in ("--shared-path PATH[:ro]", "madctl lab up", "EXIT STATUS"):
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

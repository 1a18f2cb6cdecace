# SPDX-License-Identifier: Apache-2.0
"""
Every input of the command line, and every variable that it reads, gets texts that other languages would act on.

The inputs are those that the parser has, so a new option is here from its first day.
"""

import argparse
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._request.hostlist import Host
from madctl import cli
from madctl.errors import refused
from madctl.lab import power, state
from madctl.lab.spec import check_name
from madctl.nodes import inventory, own_inventory
from madctl.records import record_store
from madctl.records.run_record import Record
from tests.hostile import LANGUAGES, is_harmless

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
JOB = ("launch", "check")
NODES = (*JOB, "ps", "inventory", "gc")
FILES = ("FILE", "PATH", "PATTERN")


def commands(parser=None, words=()):
    """Yield every command with its words, verbs included, from the parser itself."""
    parser = parser or cli.build_parser()
    children = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if words and not children:
        yield words, parser
    for action in children:
        for name, child in action.choices.items():
            yield from commands(child, (*words, name))


# A command line of the user's own shell.
SHELL = "--on-end"


def inputs():
    """List every argument that takes a text, and the work behind the dashes."""
    found = [pytest.param(("launch",), None, id="launch -- work")]
    for words, parser in commands():
        for action in parser._actions:
            if action.nargs != 0 and SHELL not in action.option_strings:
                name = action.option_strings[-1] if action.option_strings else action.dest
                found.append(pytest.param(words, action, id=f"{'-'.join(words)} {name}"))
    return found


def files():
    """List the arguments that name a file."""
    return [one for one in inputs() if one.values[1] and str(one.values[1].metavar).startswith(FILES)]


def line_for(words, action, text):
    """Write a command line that gets as far as it can with this text in it."""
    name = action.option_strings[-1] if action and action.option_strings else None
    line = list(words)
    if words[0] in NODES and name not in ("--hosts", "--hostfile", "--inventory", "--lab", "--limit"):
        line += ["--hosts", "localhost"]
    line += ["--inventory", "localhost,"] if name == "--limit" else []
    line += ["--dry-run"] if words[0] == "launch" else []
    line += [] if words[0] in (*NODES, "lab", "completion") or not name else ["run"]
    line += [f"{name}={text}"] if name else [text] if action else []
    return [*line, "--", text if action is None else "true", text] if words[0] in JOB else line


@pytest.fixture
def alone(tmp_path, monkeypatch, known_python):
    """Be in an empty directory with one remembered run, where Ansible is looked at and not run, and labs are none."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("MADCTL_DEBUG", "1")
    monkeypatch.setattr(state, "ROOT", tmp_path / "labs")
    for name in ("up", "down"):
        monkeypatch.setattr(power, name, no_lab)
    monkeypatch.setattr(own_inventory, "hosts", lambda *_: ["localhost"])
    monkeypatch.setattr("ansible_runner.run", look)
    data = inventory.build([Host("localhost")], None, None, "")
    plan = {
        "run_id": "run",
        "nodes": [{"host": "localhost", "node_rank": 0, "run_dir": "/nowhere/run"}],
        "shape": "command",
    }
    plan |= {"nnodes": 1, "world_size": 1, "master_addr": "127.0.0.1", "master_port": 1, "runner": "torchrun"}
    targets = {"names": ["localhost"], "inventory": data, "sources": []}
    typed = {"options": [["--dry-run"], ["--hosts", "localhost"]], "work": ["true"], "withheld": []}
    typed["directory"] = str(tmp_path)
    record_store.save(Record("run", 0.0, ["true"], targets, plan, typed=typed))
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield tmp_path
    for number, handler in kept.items():
        signal.signal(number, handler)


def no_lab(name, *_):
    """Stand in for what brings up a lab, once its name is one."""
    check_name(name)
    raise refused("LAB_NOT_UP", "no lab here")


def look(inventory, cmdline, **_):
    """Stand in for Ansible: nothing that it would read is a template, and its words can be taken apart."""
    words = shlex.split(cmdline)
    variables = words[words.index("-e") + 1].removeprefix("@")
    for path in (variables, inventory[-1]):
        refuse_templates(json.loads(Path(path).read_text()))
    return argparse.Namespace(rc=0)


def refuse_templates(data):
    if isinstance(data, dict) and list(data) == ["__ansible_unsafe"]:
        return
    assert not isinstance(data, str), data
    for entry in data.values() if isinstance(data, dict) else data if isinstance(data, list) else ():
        refuse_templates(entry)


def hold(place, capsys, line, code):
    out, err = capsys.readouterr()
    assert isinstance(code, int), line
    assert not list(place.rglob("CANARY")), line
    for text in (out + err).split("\n"):
        assert is_harmless(text.expandtabs()), (line, text)
        assert not text.startswith("madctl: node1: forged"), (line, text)
    assert "Traceback" not in err, (line, err)


@pytest.mark.parametrize(("words", "action"), inputs())
def test_no_option_is_taken_for_another_language(alone, capsys, one_parser, words, action):
    for text in LANGUAGES.values():
        line = line_for(words, action, text)
        hold(alone, capsys, line, cli.main(line))


@pytest.mark.parametrize(("words", "action"), files())
def test_no_file_is_taken_for_another_language(alone, capsys, one_parser, words, action):
    for text in LANGUAGES.values():
        Path(text).write_text("\n".join(["A=1", *LANGUAGES.values()]))
        line = line_for(words, action, text)
        hold(alone, capsys, line, cli.main(line))
        line = line_for(words, action, str(alone / text))
        hold(alone, capsys, line, cli.main(line))


def variables():
    """List what the sources read from the environment."""
    found = set()
    for path in [*ROOT.glob("madctl/**/*.py"), *ROOT.glob("plugins/*_utils/**/*.py")]:
        found |= set(re.findall(r'(?:environ|environment|given)(?:\.get\(|\[)"([A-Z][A-Z0-9_]+)"', path.read_text()))
        found |= set(re.findall(r'setting\("([A-Z_]+)"', path.read_text()))
    return sorted(found | {"TMPDIR", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "TERM", "COLUMNS", "LANG"})


@pytest.mark.parametrize("name", variables())
def test_no_variable_is_taken_for_another_language(alone, capsys, monkeypatch, name):
    for text in LANGUAGES.values():
        for line in (["launch", "--dry-run", "--env", name, "--", "x.py"], ["stop", "run"], ["ps"], ["inventory"]):
            with monkeypatch.context() as patch:
                patch.setenv(name, text)
                hold(alone, capsys, line, cli.main(line))


def test_ansible_itself_takes_no_text_for_a_template(tmp_path):
    texts = list(LANGUAGES.values())
    (tmp_path / "{{ 1 }}").mkdir()
    line = [
        "launch",
        "--dry-run",
        "--hosts",
        "localhost",
        "--master-port",
        "auto",
        "--chdir",
        str(tmp_path / "{{ 1 }}"),
    ]
    line += ["--run-dir", str(tmp_path / "{{ 2 }}"), "--command"]
    for number, text in enumerate(texts):
        line += ["--env", f"T{number}={text}", "--shared-fstype", text]
    argv = [str(Path(sys.executable).with_name("madctl")), *line, "--", "echo", *texts]
    done = subprocess.run(
        argv, cwd=tmp_path, env={**os.environ, "XDG_STATE_HOME": str(tmp_path)}, capture_output=True, text=True
    )

    assert done.returncode in (0, 3), done.stderr
    assert not list(tmp_path.rglob("CANARY"))
    assert "INTERNAL" not in done.stderr
    assert all(map(is_harmless, (done.stdout + done.stderr).split("\n")))
    if done.returncode == 0:
        assert "{{ lookup" in done.stdout

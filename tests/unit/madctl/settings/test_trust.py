# SPDX-License-Identifier: Apache-2.0
"""What the file of a project may set only once the user trusts it as it is."""

import json
import os
from pathlib import Path

import pytest

from madctl import cli
from madctl.settings import entries, trust

# Not everything that they know of is an option yet.
KNOWN = {key for command in entries.commands(cli.build_parser()) for key in command.options}
VALUES = {
    "notify": "'http://localhost:1'",
    "inventory": "'a,'",
    "accept-new-host-keys": "true",
    "login-shell": "true",
    "replace-containers": "'a'\ntags = 'b'",
    "days": "0",
    "mpi-args": "'-x A'\nrunner = 'mpirun'",
    "sbatch-args": "'--mem=0'\non = 'slurm'\nnodes = 2",
    "kubeconfig": "'config'\non = 'k8s'",
}


def test_what_needs_trust_exists():
    assert set(trust.RISKY) - KNOWN <= {"setup", "on-end", "notify"}


def test_the_guide_lists_what_is_risky():
    text = (Path(__file__).parents[4] / "docs/how_to/settings.md").read_text().partition("## Trust a project's file")[2]

    assert [key for key in (*trust.RISKY, "env", "python", "mpirun") if f"`{key}`" not in text] == []


@pytest.mark.parametrize("key", sorted(KNOWN.intersection(trust.RISKY)))
def test_what_is_risky_needs_trust_in_a_project(place, refusal, key):
    text = f"{key} = {VALUES.get(key, repr('inside'))}"
    words = ("gc",) if key == "days" else ("launch", "x.py")
    place.project.write_text(text)
    problem = refusal(*words)
    assert (problem.code, key in problem.message) == ("SETTINGS_UNTRUSTED", True)
    assert problem.remedy == "read the file, then: madctl config --trust"
    assert cli.main(["config", "--trust"]) == 0
    trusted = place.parsed(*words)
    place.project.write_text("")
    place.user.write_text(text)
    own = place.parsed(*words)

    assert key in trusted.settings
    assert key in own.settings


def test_trust_ends_with_a_change(place, refusal):
    place.project.write_text("setup = 1" if "setup" in KNOWN else "inventory = 'a,'")
    assert cli.main(["config", "--trust"]) == 0
    place.parsed("launch", "x.py")
    with place.project.open("a") as stream:
        stream.write("\n# another comment")

    assert refusal("launch", "x.py").code == "SETTINGS_UNTRUSTED"


def test_trust_is_in_one_place_alone(place, refusal, monkeypatch):
    place.project.write_text("inventory = 'a,'")
    assert cli.main(["config", "--trust"]) == 0
    other = place.project.parent / "other"
    other.mkdir()
    (other / "madctl.toml").write_text(place.project.read_text())
    monkeypatch.chdir(other)

    assert refusal("launch", "x.py").code == "SETTINGS_UNTRUSTED"


def test_what_does_not_count_needs_no_trust(place):
    place.project.write_text(
        "inventory = 'a,'\nssh-config = 'a'\n[profile.p]\nenv-file = 'a'\n[launch]\nmpi-args = 'a'"
    )

    options = place.parsed("launch", "--hosts", "b", "--ssh-config", "c", "x.py")

    assert (options.inventory, options.ssh_config) == (None, "c")
    assert place.parsed("status").output == "text"


PATHS = {
    "hostfile = 'hosts'": False,
    "hostfile = '../hosts'": True,
    "hostfile = '/etc/hosts'": True,
    "hostfile = 'link'": True,
    "hostfile = 'a/../hosts'": False,
    "env = ['A=1']": False,
    "env = { A = 1 }": False,
    "env = ['A=1', 'HOME']": True,
    "env = 'HOME'": True,
    "python = '/opt/venv/bin/python3'": False,
    "python = 'python3'": False,
    "python = '.venv/bin/python'": True,
    "python = './python'": True,
    "accept-new-host-keys = false": False,
    "env.PYTHONPATH = 'src'": True,
    "env.PYTHONPATH = '/opt/lib:'": True,
    "env.PYTHONPATH = '/opt/lib'": False,
    "env = ['PATH=bin:/usr/bin']": True,
    "env.PATH = '/usr/bin:/bin'": False,
    "env.DATA = 'data'": False,
    "login-shell = false": False,
}
HOST_FILES = {
    "a slots=2 python=/opt/bin/python3 env.DATA=data": False,
    "a\nb python=python3": False,
    "a\nb[1-3] python=./python": True,
    "a python = bin/python": True,
    "a env.PYTHONPATH=src": True,
    "a env.PATH=/usr/bin": False,
    "a python": False,
}


@pytest.mark.parametrize("text", PATHS)
def test_paths_outside_and_variables_from_here_need_trust(place, refusal, text):
    (place.project.parent / "link").symlink_to("/etc/hosts")
    place.project.write_text(text)

    if PATHS[text]:
        assert refusal("launch", "--dry-run", "x.py").code == "SETTINGS_UNTRUSTED"
    else:
        assert place.parsed("launch", "x.py").settings


@pytest.mark.parametrize("text", HOST_FILES)
def test_a_host_file_of_the_project_that_chooses_code_needs_trust(place, refusal, text):
    (place.project.parent / "hosts").write_text(text)
    place.project.write_text("hostfile = 'hosts'")

    if HOST_FILES[text]:
        assert refusal("check", "x.py").code == "SETTINGS_UNTRUSTED"
    else:
        assert place.parsed("check", "x.py").settings


def test_a_host_file_that_is_a_pipe_is_not_waited_for(place):
    os.mkfifo(place.project.parent / "hosts")
    place.project.write_text("hostfile = 'hosts'")

    assert place.parsed("check", "x.py").settings


def test_a_program_of_the_project_is_one_by_its_whole_path(place, refusal):
    place.project.write_text(f"python = '{place.project.parent}/bin/python'")

    assert refusal("launch", "x.py").code == "SETTINGS_UNTRUSTED"


def files_here():
    found = {}
    for command in entries.commands(cli.build_parser()):
        for key, action in command.options.items():
            if str(action.metavar).startswith(("FILE", "DIR")):
                found[f"{command.name} {key}"] = (command.words, key)
    return found


@pytest.mark.parametrize("name", files_here())
def test_every_option_that_names_a_file_outside_needs_trust(place, name):
    words, key = files_here()[name]
    of_scheduler = 'on = "k8s"\n' if key == "kubeconfig" else 'tags = "a"\n' if key.startswith("additional") else ""
    place.project.write_text(f"[{'.'.join(words)}]\n{key} = '/etc/hosts'\n{of_scheduler}")

    with pytest.raises(cli.MadctlError, match="only in a file that you trust"):
        place.parsed(*words)


def test_what_is_trusted_is_kept_privately(place):
    place.project.write_text("inventory = 'a,'")
    assert cli.main(["config", "--trust"]) == 0
    (kept,) = (place.user.parents[2] / "state" / "madctl").iterdir()

    assert kept.stat().st_mode & 0o777 == 0o600
    assert list(json.loads(kept.read_text())) == [str(place.project)]


def spoil_mode(path):
    path.chmod(0o666)


def spoil_link(path):
    path.rename(path.with_name("other"))
    path.symlink_to("other")


SPOILED = {
    "others can write to it": spoil_mode,
    "a link": spoil_link,
    "no JSON": lambda path: path.write_text("{"),
    "a list": lambda path: path.write_text("[1]"),
    "too deep": lambda path: path.write_text("[" * 100_000),
    "of other types": lambda path: path.write_text('{"a": 1}'),
    "a pipe": lambda path: (path.unlink(), os.mkfifo(path)),
}


@pytest.mark.parametrize("name", SPOILED)
def test_nothing_is_trusted_where_that_cannot_be_read(place, refusal, name):
    place.project.write_text("inventory = 'a,'")
    assert cli.main(["config", "--trust"]) == 0
    place.parsed("launch", "x.py")
    SPOILED[name](place.user.parents[2] / "state" / "madctl" / "trusted.json")

    assert refusal("launch", "x.py").code == "SETTINGS_UNTRUSTED"


def test_files_that_are_gone_are_forgotten(place):
    place.project.write_text("port = 1")
    assert cli.main(["config", "--trust"]) == 0
    other = place.project.parent / "other"
    other.mkdir()
    (other / "madctl.toml").write_text("port = 2")
    os.chdir(other)
    place.project.unlink()
    assert cli.main(["config", "--trust"]) == 0

    kept = place.user.parents[2] / "state" / "madctl" / "trusted.json"
    assert list(json.loads(kept.read_text())) == [str(other / "madctl.toml")]


def test_without_a_project_there_is_nothing_to_trust(place, refusal):
    place.user.write_text("port = 1")

    assert "there is no madctl.toml" in refusal("config", "--trust").message


def test_a_memory_that_cannot_be_written_is_refused(place, refusal):
    place.project.write_text("port = 1")
    (place.user.parents[2] / "state").write_text("")

    assert "cannot write" in refusal("config", "--trust").message

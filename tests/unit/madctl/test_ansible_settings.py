# SPDX-License-Identifier: Apache-2.0
"""What Ansible is told: no string is a template, names of places are plain, and the user's settings stay where they may."""

import json
import locale
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from ansible_collections.madctl.multinode.plugins.module_utils._common import private_places
from ansible_collections.madctl.multinode.plugins.module_utils._request import playbook_variables
from ansible_collections.madctl.multinode.plugins.module_utils._request.hostlist import Host
from madctl import ansible_settings
from madctl.cli import build_parser, main
from madctl.errors import MadctlError, UsageError
from madctl.nodes import choose, inventory, own_inventory
from madctl.playbook import engine
from madctl.records import record_store
from madctl.records import run_record as records
from madctl.records.run_record import Record
from tests.hostile import LANGUAGES

PROGRAMS = Path(sys.executable).parent


def targets(*words):
    return choose.targets(build_parser().parse_args(["inventory", *words]), {})


def shown(path, where):
    """Read an inventory the way Ansible does, templates expanded."""
    argv = [str(PROGRAMS / "ansible"), "all", "-i", str(path), "-m", "ansible.builtin.debug", "-a", "var=hostvars"]
    done = subprocess.run(
        argv, cwd=where, env={**os.environ, **ansible_settings.environment()}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("write", [lambda data: json.dumps(engine.unsafe(data)), engine.dump_inventory])
def test_no_string_of_an_inventory_is_a_template(tmp_path, write):
    hosts = {"localhost": {"ansible_connection": "local", **{f"text{n}": t for n, t in enumerate(LANGUAGES.values())}}}
    data = {"all": {"children": {inventory.GROUP: {"hosts": hosts, "vars": {"more": "#jinja2:x\n{{ 1 }}"}}}}}
    (tmp_path / "inventory.yml").write_text(write(data))
    text = shown(tmp_path / "inventory.yml", tmp_path)

    assert not (tmp_path / "CANARY").exists()
    assert "{{ lookup('pipe', 'touch CANARY') }}" in text
    assert "{% set x" in text


def test_a_printed_inventory_is_safe_and_plain_where_it_can_be(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "{{ 1 }}").write_text("")

    assert main(["inventory", "--hosts", "a", "--user", "someone", "--ssh-config", "{{ 1 }}"]) == 0
    text = capsys.readouterr().out
    assert "ansible_user: someone" in text
    assert "ansible_ssh_extra_args: !unsafe" in text
    assert "ansible_pipelining: true" in text


@pytest.mark.parametrize("name", [*LANGUAGES.values(), "", "-oProxyCommand=x", "a b", 'a"b', "a@b"])
def test_a_user_is_a_name(name, monkeypatch):
    # Ansible would be started for each, and is told of no user.
    monkeypatch.setattr(own_inventory, "hosts", lambda *_: ["a"])
    for words in (["--hosts", "a"], ["-i", "a,"]):
        with pytest.raises(UsageError) as caught:
            targets(*words, f"--user={name}")
        assert [problem.code for problem in caught.value.problems] == ["USER_INVALID"]


@pytest.mark.parametrize("port", ["0", "-1", "65536"])
def test_a_port_is_one(port):
    with pytest.raises(UsageError):
        targets("--hosts", "a", f"--port={port}")


@pytest.mark.parametrize("place", ["vars", "hosts"])
@pytest.mark.parametrize("variable", ["ansible_user", "ansible_ssh_user", "ansible_port"])
def test_a_record_logs_in_as_nobody_who_cannot_be(record, place, variable):
    group = inventory.build([Host("localhost")], None, None, "")["all"]["children"][inventory.GROUP]
    (group["vars"] if place == "vars" else group["hosts"]["localhost"])[variable] = (
        "{{ lookup('pipe', 'touch CANARY') }}"
    )
    data = {"all": {"children": {inventory.GROUP: group}}}

    assert inventory.wrong_login(data) is not None
    kept = record_store.load("run")
    with pytest.raises(ValueError, match="targets"):
        records.sound(replace(kept, targets={**kept.targets, "inventory": data}))


def test_what_was_typed_is_for_every_host_and_wins_over_inventories():
    found = inventory.overlay(["a", "b"], "root", 22, "")

    assert inventory.typed(found) == {
        "ansible_user": "root",
        "ansible_ssh_user": "root",
        "ansible_port": 22,
        "ansible_ssh_port": 22,
    }
    assert inventory.typed(inventory.overlay(["a"], None, None, "")) == {}
    # A host's own user@host:port is no less typed.
    assert inventory.typed(inventory.build([Host("a", "me", 23)], "root", None, "")) == {}


def test_a_list_of_hosts_is_no_path_and_a_path_is_found_from_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hosts").write_text("a\n")

    assert own_inventory.located("a,b,") == "a,b,"
    assert own_inventory.located("hosts") == str(tmp_path / "hosts")


@pytest.mark.parametrize("name", ["t m p", "q'u\"o", "j{{ x }}", "n\nl", "p%h", "x" * 90])
def test_private_directories_have_names_that_every_program_takes(tmp_path, monkeypatch, name):
    odd = tmp_path / name
    odd.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(odd))
    place = Path(private_places.private())
    place.rmdir()

    assert private_places.is_plain(str(place / "runner"))
    assert odd not in place.parents


def test_a_plain_place_for_temporary_files_is_used(monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", "/dev/shm")
    place = Path(private_places.private())
    place.rmdir()

    assert place.parent == Path("/dev/shm")


@pytest.mark.parametrize("name", ["t m p", 'q"o', "p%h", "x" * 90])
def test_sockets_of_connections_go_where_ssh_can_take_them(tmp_path, monkeypatch, name):
    monkeypatch.setenv("ANSIBLE_SSH_CONTROL_PATH_DIR", f"/{name}")
    found = inventory.build([Host("a")], None, None, "")
    with engine.Engine(print, print) as one:
        short = one._with_short_sockets(found)["all"]["children"][inventory.GROUP]["vars"]["ansible_control_path_dir"]
        monkeypatch.setenv("ANSIBLE_SSH_CONTROL_PATH_DIR", "/short")

        assert private_places.is_plain(short)
        assert one._with_short_sockets(found) == found


LOCALES = [
    ("LC_ALL", "C"),
    ("LC_ALL", "POSIX"),
    ("LC_ALL", "de_DE.ISO-8859-1"),
    ("LC_CTYPE", "xx"),
    ("LANG", "xx_YY.UTF-8"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("variable", "value"), LOCALES)
def test_ansible_gets_a_locale_that_it_takes(variable, value):
    clean = {name: text for name, text in os.environ.items() if name != "LANG" and not name.startswith("LC_")}
    code = "import os; from madctl import ansible_settings; os.environ.update(ansible_settings.environment());"
    code += "os.execvp('ansible', ['ansible', '--version'])"
    done = subprocess.run([sys.executable, "-c", code], env={**clean, variable: value}, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_locale_that_works_stays_and_other_threads_see_no_other_one(monkeypatch):
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    changed = []
    monkeypatch.setattr(locale, "setlocale", lambda *words: changed.append(words))

    assert "LC_ALL" not in ansible_settings.environment()
    monkeypatch.setenv("LC_ALL", "POSIX")
    assert ansible_settings.environment()["LC_ALL"] == "C.UTF-8"
    assert changed == []


def effective(tmp_path, text, **env):
    """Ask Ansible for its settings as madctl has it started, beside an ansible.cfg."""
    (tmp_path / "ansible.cfg").write_text(text)
    given = {**os.environ, **env}
    code = "import json, os; from madctl import ansible_settings; print(json.dumps(ansible_settings.environment()))"
    asked = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=given, capture_output=True, check=True)
    argv = [str(PROGRAMS / "ansible-config"), "dump", "--format", "json"]
    given.update(json.loads(asked.stdout))
    done = subprocess.run(argv, cwd=tmp_path, env=given, capture_output=True, check=True)
    return {entry["name"]: entry["value"] for entry in json.loads(done.stdout) if "name" in entry}


HOSTILE = """\
[defaults]
strategy=free
any_errors_fatal=True
no_log=True
task_timeout=2
transport=local
stdout_callback=minimal
enable_task_debugger=True
ask_pass=True
ask_vault_pass=True
error_on_undefined_vars=False
forks=3
collections_path=/mine
[privilege_escalation]
become_ask_pass=True
[inventory]
enable_plugins=ini
[tags]
run=some
skip=check,launch
[colors]
"""


def test_settings_that_playbooks_depend_on_are_pinned_and_others_stay(tmp_path):
    found = effective(tmp_path, HOSTILE)
    wanted = {
        "DEFAULT_STRATEGY": "linear",
        "ANY_ERRORS_FATAL": False,
        "DEFAULT_NO_LOG": False,
        "TASK_TIMEOUT": 0,
        "DEFAULT_TRANSPORT": "ssh",
        "DEFAULT_STDOUT_CALLBACK": "default",
        "ENABLE_TASK_DEBUGGER": False,
        "DEFAULT_ASK_PASS": False,
        "DEFAULT_ASK_VAULT_PASS": False,
        "DEFAULT_BECOME_ASK_PASS": False,
        "DEFAULT_UNDEFINED_VAR_BEHAVIOR": True,
        "INVENTORY_ENABLED": ["ini", "yaml"],
        "TAGS_RUN": ["all"],
        "DEFAULT_FORKS": 3,
    }

    assert {name: found[name] for name in wanted} == wanted
    assert "check" not in found["TAGS_SKIP"]
    assert found["COLLECTIONS_PATHS"][-1] == "/mine"
    assert len(found["COLLECTIONS_PATHS"]) == 2


def test_what_the_environment_says_of_a_setting_is_pinned_too(tmp_path):
    given = {
        "ANSIBLE_STRATEGY": "host_pinned",
        "ANSIBLE_NO_LOG": "1",
        "ANSIBLE_INVENTORY_ENABLED": "ini",
        "ANSIBLE_FORKS": "2",
    }
    found = effective(tmp_path, "", **given)

    assert [found[name] for name in ("DEFAULT_STRATEGY", "DEFAULT_NO_LOG", "DEFAULT_FORKS")] == ["linear", False, 2]
    assert found["INVENTORY_ENABLED"] == ["ini", "yaml"]


def test_settings_are_those_that_ansible_finds(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ansible.cfg").write_text("[ssh_connection]\nssh_args=-4\n")
    other = tmp_path / "other"
    other.mkdir()
    (other / "ansible.cfg").write_text("[ssh_connection]\nssh_args=-6\n")

    assert ansible_settings.environment({})["ANSIBLE_SSH_ARGS"] == "-4"
    assert ansible_settings.environment({"ANSIBLE_CONFIG": str(other)})["ANSIBLE_SSH_ARGS"] == "-6"
    assert ansible_settings.environment({"ANSIBLE_SSH_ARGS": "-v"})["ANSIBLE_SSH_ARGS"] == "-v"
    tmp_path.chmod(0o777)
    assert ansible_settings.environment({})["ANSIBLE_SSH_ARGS"] == ""
    tmp_path.chmod(0o755)
    (tmp_path / "ansible.cfg").write_text("no section\n")
    assert ansible_settings.environment({})["ANSIBLE_SSH_ARGS"] == ""


def test_settings_that_are_not_read_are_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    beside = tmp_path / "site"
    beside.mkdir()
    for place in (tmp_path, beside):
        (place / "ansible.cfg").write_text("[defaults]\n")
    (beside / "hosts.ini").write_text("a\n")

    assert ansible_settings.unread(["site/hosts.ini"], {}) == ["site/ansible.cfg"]
    assert ansible_settings.unread(["site/hosts.ini"], {"ANSIBLE_CONFIG": str(beside)}) == ["ansible.cfg"]
    assert ansible_settings.unread([], {}) == []
    tmp_path.chmod(0o777)
    assert ansible_settings.unread([], {}) == ["ansible.cfg"]
    assert main(["inventory", "--hosts", "a"]) == 0
    assert "notice: ansible.cfg is not read" in capsys.readouterr().err


def test_a_question_that_nobody_sees_is_refused():
    with pytest.raises(UsageError):
        ansible_settings.environment({"ANSIBLE_VAULT_IDENTITY_LIST": "a@prompt"})


def test_text_that_is_not_utf8_goes_to_no_program_that_cannot_take_it():
    found = ansible_settings.environment({"A": "\udcff", "B": "é", "HOME": "\udcff"})

    assert (found["A"], "B" in found, "HOME" in found) == ("", False, False)


@pytest.fixture
def record(tmp_path, monkeypatch):
    """Remember a run on this machine alone."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    data = inventory.build([Host("localhost")], None, None, "")
    plan = {"run_id": "run", "nodes": [{"host": "localhost", "node_rank": 0, "run_dir": str(tmp_path / "run")}]}
    plan |= {
        "shape": "command",
        "nnodes": 1,
        "world_size": 1,
        "master_addr": "127.0.0.1",
        "master_port": 1,
        "runner": "torchrun",
    }
    record_store.save(Record("run", 0.0, ["true"], {"names": ["localhost"], "inventory": data, "sources": []}, plan))
    return tmp_path


def broken_settings(place):
    (place / "ansible.cfg").write_text("no section\n")


def broken_program(place):
    (place / "ansible.cfg").write_text("[defaults]\nvault_password_file=/nowhere/at/all\n")


def broken_source(place):
    path = record_store.directory() / "run.json"
    data = json.loads(path.read_text())
    data["targets"]["sources"] = [str(place / "gone.yml")]
    path.write_text(json.dumps(data))


@pytest.mark.slow
@pytest.mark.parametrize("break_it", [broken_settings, broken_program, broken_source])
def test_where_ansible_fails_no_node_is_judged(record, monkeypatch, capsys, break_it):
    monkeypatch.chdir(record)
    break_it(record)
    for command in ("stop", "status", "collect", "logs") if break_it is broken_settings else ("stop",):
        code = main([command, "run"])
        said = capsys.readouterr().err

        # That an inventory is gone is known without Ansible.
        assert code == (4 if break_it is broken_source else 1), (command, said)
        assert len(said.splitlines()) == 1
        assert ("[NODE_SILENT]" if break_it is broken_source else "[INTERNAL]") in said
        assert "localhost" not in said
        assert any(word in said for word in ("ansible.cfg", "/nowhere/at/all", "gone.yml")), said
    assert record_store.load("run").status == "running"


def test_an_inventory_that_cannot_be_read_says_why(tmp_path):
    (tmp_path / "x.yml").write_text("all: [")
    with pytest.raises(MadctlError) as caught:
        targets("-i", str(tmp_path / "x.yml"))

    assert caught.value.problems[0].code == "INVENTORY_EMPTY"
    assert "x.yml" in caught.value.problems[0].message


def test_yaml_of_one_inventory_is_that_of_the_other(tmp_path):
    data = inventory.overlay(["a"], "me", None, "-F /x")

    assert yaml.safe_load(engine.dump_inventory(data)) == data


def test_our_own_variable_of_ssh_is_known():
    assert not playbook_variables.unknown([inventory.ARGUMENTS])

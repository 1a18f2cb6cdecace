# SPDX-License-Identifier: Apache-2.0
"""No name of a host is anything but a name: whatever door it comes through, nothing is run, expanded or forged."""

import json
import os
import re
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._request import host_files, hostlist
from ansible_collections.madctl.multinode.plugins.module_utils._show.names import fold
from madctl import cli
from madctl.commands import logs
from madctl.errors import UsageError
from madctl.nodes import groups, own_inventory
from madctl.nodes.hosts import from_environment, from_file, from_list
from tests.hostile import LANGUAGES, is_harmless

MORE = {
    "group, command": "@x$(touch CANARY)",
    "group, two sources": "@a:b:c",
    "group, list of groups": "@@x",
    "group, all": "@*",
    "group, path": "@../../etc/passwd",
    "group, range": "@x[1-2';touch${IFS}CANARY;']",
    "wildcard": "gpu*",
    "one character": "gpu?",
    "union": "a&b",
    "without": "a!b",
    "either": "a^b",
    "user": "x';touch${IFS}CANARY;'@gpu1",
    "option": "-oProxyCommand=touch${IFS}CANARY",
    "digits of another script": "gpu\u0663",
    "superscript": "gpu\u00b2",
    "long": "n" * 254,
}
HOSTILE = {**LANGUAGES, **MORE}
named = pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
OF_LISTS = ("HOST_INVALID", "HOSTS_MALFORMED", "EXCLUDE_UNKNOWN")
IN_BRACKETS = [f"gpu[{text}]" for text in HOSTILE.values()] + [f"gpu[1-2]{text}" for text in HOSTILE.values()]


@pytest.fixture(autouse=True)
def no_canary(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    yield
    assert not list(tmp_path.rglob("CANARY"))


@pytest.fixture
def nothing_runs(monkeypatch):
    monkeypatch.setattr("ClusterShell.NodeUtils.Popen", lambda *words, **more: pytest.fail(f"{words} was run"))


pytestmark = pytest.mark.usefixtures("nothing_runs")


def refusal(read, *given):
    with pytest.raises((UsageError, hostlist.HostsError)) as caught:
        read(*given)
    problem = caught.value.problem if isinstance(caught.value, hostlist.HostsError) else caught.value.problems[0]
    assert is_harmless(str(caught.value))
    return problem["code"] if isinstance(problem, dict) else problem.code


def taken(read, *given):
    """Return whether the result is valid names, or a refusal in one line."""
    try:
        return all(hostlist.is_name(getattr(host, "name", host)) for host in read(*given))
    except UsageError as error:
        return is_harmless(str(error))


def file_of(text):
    path = Path("hosts")
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return str(path)


@named
def test_a_list_takes_names_alone(text):
    assert refusal(from_list, text) in OF_LISTS
    assert refusal(hostlist.from_list, text) in OF_LISTS


def test_what_a_shell_would_read_is_an_invalid_name():
    for name in ("ClusterShell", "ClusterShell source", "shell", "substitution", "backquotes"):
        assert refusal(from_list, LANGUAGES[name]) == "HOST_INVALID"
        assert refusal(from_file, file_of(LANGUAGES[name].replace(" ", "\t"))).startswith("HOST")
        assert refusal(from_environment, {"SLURM_JOB_NODELIST": LANGUAGES[name]}) == "HOST_INVALID"


@pytest.mark.parametrize("text", IN_BRACKETS)
def test_nothing_hides_in_a_range_or_behind_it(text):
    assert refusal(from_list, text) in OF_LISTS
    assert refusal(hostlist.from_list, text) in OF_LISTS
    assert refusal(from_environment, {"SLURM_JOB_NODELIST": text}) in ("HOST_INVALID", "HOSTS_MALFORMED")


@named
def test_a_host_file_takes_names_alone(text):
    assert refusal(from_file, file_of(text)) in ("HOST_INVALID", "HOSTS_MALFORMED", "HOSTFILE_MALFORMED")
    assert refusal(host_files.from_lines, text, "hosts") in ("HOST_INVALID", "HOSTS_MALFORMED", "HOSTFILE_MALFORMED")


@named
def test_slurm_names_hosts_alone(text):
    assert refusal(from_environment, {"SLURM_JOB_NODELIST": text}) in ("HOST_INVALID", "HOSTS_MALFORMED")


@pytest.mark.parametrize("text", ["@all", "@source:all", "root@gpu1", "@"])
def test_only_what_is_typed_names_groups_and_users(text):
    assert refusal(from_environment, {"SLURM_JOB_NODELIST": text}) == "HOST_INVALID"
    assert refusal(from_file, file_of(text)) == "HOST_INVALID"
    assert refusal(host_files.from_lines, text, "hosts") == "HOST_INVALID"


@named
def test_logs_show_no_host_of_that_name(monkeypatch, text):
    record = Namespace(run_id="one", plan={"nodes": [{"host": "gpu1"}]}, job=None)
    monkeypatch.setattr("madctl.records.record_store.load", lambda run: record)

    assert refusal(cli.parsed, ["logs", f"--host={text}"]) == "USAGE"
    form = {"timestamps": False, "merge": False, "lines": None, "output": "text"}
    assert refusal(logs.run, Namespace(run_id="one", host=["gpu2"], rank=[], **form)) == "RUN_HOST_UNKNOWN"


@named
def test_names_are_folded_as_they_are(text):
    assert fold([text, "gpu1"]) == f"{text},gpu1"


def test_what_can_be_folded_is_not_read_anew():
    assert fold(["n" + "9" * 200, "n1"]) == "n" + "9" * 200 + ",n1"
    assert fold(["@all", "@other"]) == "@all,@other"


# -- groups: those of the user's own files, and none of ClusterShell's that ask a shell -----------------------------


@pytest.fixture
def configured(monkeypatch, tmp_path):
    """Return the only directory that ClusterShell searches, besides that of the package itself."""
    for name in ("XDG_CONFIG_HOME", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "nothing"))
    monkeypatch.setenv("CLUSTERSHELL_CFGDIR", str(tmp_path / "own"))
    (tmp_path / "own" / "groups.d").mkdir(parents=True)
    groups.resolver.cache_clear()
    yield tmp_path / "own"
    groups.resolver.cache_clear()


def test_groups_of_the_package_itself_run_nothing(configured):
    assert refusal(from_list, "@example") == "HOSTS_MALFORMED"
    assert refusal(from_list, "@local:example") == "HOSTS_MALFORMED"


@pytest.mark.parametrize("group", [5, ["n1", 5], {"a": "b"}, "@gpu", "n[1-", "4[-1]"])
def test_what_is_not_a_group_is_one_line(configured, group):
    (configured / "groups.d" / "cluster.yaml").write_text(json.dumps({"roles": {"gpu": group}}))

    assert refusal(from_list, "@gpu") in ("HOSTS_MALFORMED", "HOSTS_EMPTY")


@pytest.mark.parametrize("content", ["\x00", "[Main", "[Main]\ndefault: none\n", "[a]\n", "map: x"])
def test_a_configuration_that_cannot_be_read_is_one_line(configured, content):
    (configured / "groups.conf").write_text(content)

    assert refusal(from_list, "@gpu") == "HOSTS_MALFORMED"


def test_groups_in_files_are_read(configured):
    (configured / "groups.d" / "cluster.yaml").write_text("roles:\n  gpu: 'n[3,1-2]'\n  all: '@gpu,login'\n")

    assert [host.name for host in from_list("@gpu")] == ["n1", "n2", "n3"]
    assert [host.name for host in from_list("head,@roles:all")] == ["head", "login", "n1", "n2", "n3"]
    assert refusal(from_list, "@other") == "HOSTS_EMPTY"
    with pytest.raises(UsageError, match=r"^@gpus names no host; did you mean @gpu\? "):
        from_list("@gpus")


def test_commands_are_those_of_the_users_own_configuration(configured, monkeypatch):
    monkeypatch.setattr("ClusterShell.NodeUtils.Popen", subprocess.Popen)
    (configured / "groups.conf").write_text("[Main]\ndefault: mine\n[mine]\nmap: echo $GROUP-[1-2]\n")

    assert [host.name for host in from_list("@rack.1")] == ["rack.1-1", "rack.1-2"]


@named
def test_a_group_in_a_group_reaches_no_shell_either(configured, monkeypatch, text):
    def only_echo(command, **more):
        assert re.fullmatch(r"echo [A-Za-z0-9_.-]+", command)
        return subprocess.Popen(command, **more)

    monkeypatch.setattr("ClusterShell.NodeUtils.Popen", only_echo)
    (configured / "groups.conf").write_text(
        "[Main]\ndefault: mine\nautodir: $CFGDIR/groups.d\n[mine]\nmap: echo $GROUP\n"
    )
    (configured / "groups.d" / "cluster.yaml").write_text(json.dumps({"roles": {"gpu": f"@mine:{text}"}}))

    assert taken(from_list, "@roles:gpu")


# -- inventories: Ansible reads them -----------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("text", LANGUAGES.values(), ids=LANGUAGES)
def test_an_inventory_names_hosts_alone(text):
    path = Path("inventory.yml")
    path.write_text(json.dumps({"all": {"hosts": {text: {}, "gpu1": {}}}}))

    assert refusal(own_inventory.hosts, [str(path)], None) in ("HOST_INVALID", "INVENTORY_EMPTY")


@pytest.mark.slow
@pytest.mark.parametrize("text", LANGUAGES.values(), ids=LANGUAGES)
def test_a_limit_names_hosts_alone(text):
    Path("inventory.yml").write_text(json.dumps({"all": {"hosts": {"node1": {}}}}))

    # Ansible takes "x: node1" for two patterns.
    assert taken(own_inventory.hosts, ["inventory.yml"], text)


def test_the_plugin_takes_names_alone():
    program = [str(Path(sys.executable).with_name("ansible-inventory")), "--list"]
    for number, text in enumerate(HOSTILE.values()):
        path = Path(f"{number}.hostlist.yml")
        path.write_text(json.dumps({"plugin": "madctl.multinode.hostlist", "hosts": [text]}))
        program += ["-i", str(path)]
    environment = {**os.environ, "ANSIBLE_INVENTORY_ENABLED": "madctl.multinode.hostlist"}
    done = subprocess.run(program, capture_output=True, text=True, env=environment, check=True)

    assert set(json.loads(done.stdout)["_meta"]["hostvars"]) == set()
    assert done.stderr.count("HOST_INVALID") + done.stderr.count("HOSTS_MALFORMED") >= len(HOSTILE)


@pytest.mark.slow
@pytest.mark.parametrize("playbook", ["check", "status"])
def test_playbooks_take_names_alone(playbook, nothing_remembered):
    variables = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    hosts = dict.fromkeys(HOSTILE.values(), variables)
    Path("inventory.json").write_text(json.dumps({"all": {"hosts": hosts}}))
    program = [str(Path(sys.executable).with_name("ansible-playbook")), f"madctl.multinode.{playbook}"]
    done = subprocess.run([*program, "-i", "inventory.json"], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "[HOST_INVALID]" in done.stdout


@pytest.fixture
def nothing_remembered(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

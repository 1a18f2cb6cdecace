# SPDX-License-Identifier: Apache-2.0
"""Host files of people, of MPI and of schedulers, and what is typed about hosts beside them."""

from argparse import Namespace
from pathlib import Path

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._request import host_files, hostlist
from ansible_collections.madctl.multinode.plugins.module_utils._request.hostlist import Host
from ansible_collections.madctl.multinode.plugins.module_utils._ways.ssh import Login, Ssh
from madctl.cli import build_parser
from madctl.errors import UsageError
from madctl.nodes import choose, inventory
from madctl.nodes.hosts import from_environment, from_file, from_list
from madctl.records import record_store

FILES = Path(__file__).with_name("hosts")
A, B = "nodeA.cluster.example", "nodeB.cluster.example"
SLOTS = {
    "pbs-nodefile": {A: 4, B: 4},
    "lsf-djob-hostfile": {"hosta": 3, "hostb": 3},
    "sge-pe-hostfile": {"node1.cluster.example": 8, "node2.cluster.example": 8},
    "bom-crlf": {"gpu01": 8, "gpu02": 8},
    "openmpi-max-slots": {"gpu01": 8, "gpu02": 8},
    "lsf-djob-hostfile-launch-host": {"batch2": 1, "h36n03": 3, "h36n04": 3},
}


def slots(hosts):
    return {host.name: host.slots for host in hosts}


def problem(read, *given):
    with pytest.raises(UsageError) as caught:
        read(*given)
    return caught.value.problems[0]


def written(tmp_path, text):
    path = tmp_path / "hosts"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", SLOTS)
def test_files_name_hosts_and_slots(name):
    assert slots(from_file(str(FILES / name))) == SLOTS[name]
    assert slots(host_files.from_lines((FILES / name).read_bytes().decode(), name)) == SLOTS[name]


LINES = {
    "b\na\nb\na\na": {"b": 2, "a": 3},
    "a\nb": {"a": None, "b": None},
    "gpu[1-2]\ngpu[2-3]": {"gpu1": 1, "gpu2": 2, "gpu3": 1},
    "a slots=2\nb\nb": {"a": 2, "b": 2},
    "a slots = 2": {"a": 2},
    "a max_slots=4 slots=2": {"a": 2},
    "a max-slots=4": {"a": None},
    "a:512": {"a": 512},
    "[fd00::1]:8\nfd00::2": {"fd00::1": 8, "fd00::2": None},
    "a 1 q@a UNDEFINED\nb 1 q@b UNDEFINED": {"a": None, "b": None},
    "a 2 q@a": {"a": 2},
    "\ufeff# comment\r\na # c\r\n\r\n": {"a": None},
}


@pytest.mark.parametrize("text", LINES)
def test_lines(text, tmp_path):
    found = from_file(written(tmp_path, text))

    assert slots(found) == LINES[text]
    assert [host.name for host in found] == list(LINES[text])


REFUSED = {
    "a slots=2\na slots=2": "HOST_DUPLICATE",
    "a slots=2\na": "HOST_DUPLICATE",
    "a\na slots=2": "HOST_DUPLICATE",
    "a:2\na": "HOST_DUPLICATE",
    "a slots=2 slots=3": "HOSTFILE_MALFORMED",
    "a:2 slots=3": "HOSTFILE_MALFORMED",
    "a slots=8 max-slots=4": "HOSTFILE_MALFORMED",
    "a max-slots=x": "HOSTFILE_MALFORMED",
    "a 0 q@a UNDEFINED": "HOSTFILE_MALFORMED",
    "a 1,2 q@a": "HOSTFILE_MALFORMED",
    "a 5 0 1": "HOSTFILE_MALFORMED",
    "a 8": "HOSTFILE_MALFORMED",
    "a slots=1025": "HOSTFILE_MALFORMED",
    "a\n" * 1025: "HOSTFILE_MALFORMED",
}


@pytest.mark.parametrize("text", REFUSED)
def test_lines_that_cannot_be_meant(text, tmp_path):
    assert problem(from_file, written(tmp_path, text)).code == REFUSED[text]


@pytest.mark.parametrize("text", ["node1:2222\nnode2:2222\n", "a:22", "a:513", "a:65535", "[fd00::1]:2222"])
def test_an_ssh_port_is_not_a_number_of_slots(text, tmp_path):
    found = problem(from_file, written(tmp_path, text))

    assert found.code == "HOSTFILE_MALFORMED"
    assert "reads like an SSH port" in found.message
    assert "user@host:port in --hosts" in found.remedy


# -- schedulers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "name"),
    [("PBS_NODEFILE", "pbs-nodefile"), ("LSB_DJOB_HOSTFILE", "lsf-djob-hostfile"), ("PE_HOSTFILE", "sge-pe-hostfile")],
)
def test_a_scheduler_names_its_file(variable, name):
    assert slots(from_environment({variable: str(FILES / name)})) == SLOTS[name]


LSF = {
    ("LSB_MCPU_HOSTS", "hosta 3 hostb 3"): {"hosta": 3, "hostb": 3},
    ("LSB_MCPU_HOSTS", "hosta 1 hostb 1"): {"hosta": None, "hostb": None},
    ("LSB_MCPU_HOSTS", "batch2 1 h36n03 42 h36n04 42"): {"h36n03": 42, "h36n04": 42},
    ("LSB_HOSTS", "hosta hosta hostb hostb"): {"hosta": 2, "hostb": 2},
    ("LSB_DJOB_HOSTFILE", str(FILES / "lsf-djob-hostfile-launch-host")): {"h36n03": 3, "h36n04": 3},
}


@pytest.mark.parametrize("given", LSF)
def test_lsf(given):
    assert slots(from_environment(dict([given]))) == LSF[given]


def test_lsf_knows_best_by_its_file():
    files = {"LSB_DJOB_HOSTFILE": str(FILES / "lsf-djob-hostfile"), "LSB_MCPU_HOSTS": "x 2", "LSB_HOSTS": "y y"}

    assert slots(from_environment(files)) == SLOTS["lsf-djob-hostfile"]
    assert slots(from_environment({**files, "LSB_DJOB_HOSTFILE": ""})) == {"x": 2}


def test_slurm_comes_first_and_says_nothing_of_slots():
    given = {"SLURM_JOB_NODELIST": "n[1-2]", "PBS_NODEFILE": "/nowhere", "SLURM_TASKS_PER_NODE": "4(x2)"}

    assert slots(from_environment(given)) == {"n1": None, "n2": None}


WRONG = {
    ("PBS_NODEFILE", "/nowhere"): "HOSTFILE_UNREADABLE",
    ("LSB_MCPU_HOSTS", "hosta 3 hostb"): "HOSTFILE_MALFORMED",
    ("LSB_MCPU_HOSTS", "hosta hostb"): "HOSTFILE_MALFORMED",
    ("LSB_MCPU_HOSTS", "root@hosta 3"): "HOST_INVALID",
    ("LSB_MCPU_HOSTS", "@x';touch${IFS}CANARY;' 3"): "HOST_INVALID",
    ("LSB_HOSTS", "a;b"): "HOST_INVALID",
    ("LSB_HOSTS", "@group"): "HOST_INVALID",
}


@pytest.mark.parametrize("given", WRONG)
def test_a_scheduler_that_cannot_be_read_is_not_passed_over(given):
    assert problem(from_environment, dict([given])).code == WRONG[given]


# -- what is of one host -----------------------------------------------------------------------------

OWN = {
    "a python=/opt/a/bin/python3": Host("a", python="/opt/a/bin/python3"),
    "a slots=8 interface=ib0 # c": Host("a", slots=8, interface="ib0"),
    "a:8 interface=10.0.0.7/24": Host("a", slots=8, interface="10.0.0.0/24"),
    "a env.A=1 env.B = x=y env.C=": Host("a", env=(("A", "1"), ("B", "x=y"), ("C", ""))),
    'a env.A={"b":1}': Host("a", env=(("A", '{"b":1}'),)),
}


@pytest.mark.parametrize("line", OWN)
def test_a_line_says_what_is_of_its_host_alone(tmp_path, line):
    (tmp_path / "hosts").write_text(f"{line}\nb\n")

    assert from_file(str(tmp_path / "hosts")) == [OWN[line], Host("b")]


def test_a_range_of_hosts_shares_it(tmp_path):
    (tmp_path / "hosts").write_text("gpu[1-2] python=/p\n")

    assert from_file(str(tmp_path / "hosts")) == [Host("gpu1", python="/p"), Host("gpu2", python="/p")]


NOT_OWN = {
    "a pyhton=/p": ("'pyhton' is unknown", "did you mean python=?"),
    "a python": ("'python' is unknown", "did you mean python=?"),
    "a nodes=3": ("'nodes' is unknown", "name slots=N python=PATH interface=NAME env.NAME=VALUE"),
    "a python=": ("python has no value", "python=VALUE"),
    "a python=/p python=/q": ("python is given twice", None),
    "a env.A=1 env.A=1": ("env.A is given twice", None),
    "a interface=a-name-too-long-for-linux": ("interface takes a name or a network such as 10.0.0.0/24", None),
    "a interface=10.0.0.0/99": ("interface takes a name or a network", None),
    "a env.1A=s3cret": ("env.NAME takes the name of a variable, not '1A'", "env.NAME=VALUE"),
    "a env.=s3cret": ("env.NAME takes the name of a variable, not ''", "env.NAME=VALUE"),
    'a env.A="s3cret b"': ("'b\"' is unknown", None),
    'a env.A="s3cret"': ("the value of env.A begins with a quote", "write it without; it cannot have blanks"),
    "a env.A=1\na env.A=2": ("the host is listed twice", None),
    "a python=/p\na python=/q": ("the host is listed twice", None),
}


@pytest.mark.parametrize("text", NOT_OWN)
def test_what_a_line_cannot_say(tmp_path, text):
    (tmp_path / "hosts").write_text(text)
    found = problem(from_file, str(tmp_path / "hosts"))
    message, remedy = NOT_OWN[text]

    assert message in found.message and "s3cret" not in found.message
    assert remedy in (None, found.remedy)


def test_it_reaches_the_inventory_and_its_values_are_in_no_record(tmp_path):
    (tmp_path / "hosts").write_text("a slots=2 python=/p interface=ib0 env.HF_TOKEN=s3cret env.N=1\nb\n")
    found = inventory.build(from_file(str(tmp_path / "hosts")), None, None, "")
    targets = inventory.Targets(("a", "b"), found)
    own = {"madctl_slots": 2, "madctl_python": "/p", "madctl_interface": "ib0"}

    assert inventory.group_of(found)["hosts"] == {
        "a": {"madctl_node_rank": 0, **own, "madctl_env": {"HF_TOKEN": "s3cret", "N": "1"}},
        "b": {"madctl_node_rank": 1},
    }
    assert inventory.own_secrets(targets) == ("s3cret",)
    kept = record_store.create({"run_id": "r", "nodes": [{"host": "a"}]}, targets, ["x"]).targets
    assert inventory.group_of(kept["inventory"])["hosts"]["a"] == {"madctl_node_rank": 0, **own}


# -- what was meant --------------------------------------------------------------------------------

MEANT = {
    "gpu01-16": "gpu[01-16]",
    "gpu01-gpu16": "gpu[01-16]",
    "gpu{01..16}": "gpu[01-16]",
    "gpu[01:16]": "gpu[01-16]",
    "gpu(1-8).example.org": "gpu[1-8].example.org",
    "rack-1-2": "rack-[1-2]",
    "10.0.0.1-4": "10.0.0.[1-4]",
    "gpu1 gpu2": "gpu1,gpu2",
    "gpu16-01": None,
    "gpu01-100": None,
    "node1": None,
    "a-b": None,
    "gpu٠-٩": None,
    "x" * 100_000 + "1-2": None,
}


@pytest.mark.parametrize("text", MEANT)
def test_what_was_meant(text):
    assert hostlist.meant(text) == MEANT[text]


def test_a_name_like_a_range_is_a_name_until_nothing_answers_to_it():
    assert [host.name for host in from_list("gpu01-16")] == ["gpu01-16"]
    text = "ssh: Could not resolve hostname gpu01-16: Name or service not known"
    found = Ssh("gpu01-16", "python3", Login(["ssh"], "gpu01-16", "gpu01-16")).explain(text)

    assert (found["code"], found["remedy"]) == ("HOST_UNRESOLVED", "did you mean gpu[01-16]?")


@pytest.mark.parametrize("text", ["gpu{01..16}", "gpu[01:16]", "gpu(01-16)"])
def test_another_notation_is_refused_with_ours(text):
    assert "did you mean gpu[01-16]?" in (problem(from_list, text).remedy, problem(from_list, f"a,{text}").remedy)


@pytest.mark.parametrize("text", ["node1:8,node2:8", "root@node1:1", "[fd00::1]:21"])
def test_a_number_of_slots_is_not_a_port(text):
    found = problem(from_list, text)

    assert found.code == "HOSTS_MALFORMED"
    assert "is a port; slots go into a host file" in found.message


def test_a_low_port_that_does_not_answer_may_have_been_slots():
    def remedy(port):
        return Ssh("node1", "python3", Login(["ssh"], "node1", "node1", port)).explain("Connection refused")["remedy"]

    assert remedy(64) == ":64 is a port; slots go into a host file: node1 slots=64"
    assert remedy(22) == remedy(2222) == remedy(None) == "check that it is up: ssh node1"


# -- options together ------------------------------------------------------------------------------


@pytest.fixture
def lab(monkeypatch, tmp_path):
    """Give a lab of two hosts that are not there."""
    hosts = [Namespace(name="node1"), Namespace(name="node2")]
    found = Namespace(hosts=hosts, host=lambda name: next(host for host in hosts if host.name == name))
    monkeypatch.setattr("madctl.lab.power.require_machine", lambda: None)
    monkeypatch.setattr("madctl.lab.state.load", lambda name: found)


def chosen(*words):
    found = choose.targets(build_parser().parse_args(["inventory", *words]), {})
    return found.names, found.inventory["all"]["children"]["madctl_nodes"]["hosts"]


def test_a_lab_takes_a_host_file_with_its_slots(lab, tmp_path):
    names, hosts = chosen("--lab", "lab", "--hostfile", written(tmp_path, "node2 slots=2\n"))

    assert names == ("node2",)
    assert hosts == {"node2": {"madctl_node_rank": 0, "madctl_slots": 2}}


def test_a_lab_takes_users_and_ports_of_a_list(lab):
    names, hosts = chosen("--lab", "lab", "--hosts", "root@node2:2222,node1")

    assert names == ("node2", "node1")
    assert hosts["node2"] == {"madctl_node_rank": 0, "ansible_user": "root", "ansible_port": 2222}
    assert chosen("--lab", "lab")[0] == ("node1", "node2")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--lab", "lab", "--hosts", ""], "HOSTS_EMPTY"),
        (["--lab", "lab", "-i", "x,"], "USAGE"),
        (["--lab", "lab", "--limit", "node1"], "USAGE"),
        (["--lab", "lab", "--hosts", "node1", "--hostfile", "x"], "USAGE"),
        (["--hosts", "a", "--limit", "a"], "USAGE"),
        (["--hosts", "a", "-i", "x,"], "USAGE"),
        (["--hostfile", "x", "-i", "x,"], "USAGE"),
        (["--limit", "a"], "USAGE"),
        (["--limit", ""], "USAGE"),
        (["-i", "a,", "--limit", ""], "USAGE"),
        (["-i", ""], "INVENTORY_MISSING"),
        (["--hosts", ""], "HOSTS_EMPTY"),
        (["--hostfile", ""], "HOSTFILE_UNREADABLE"),
    ],
)
def test_what_does_not_go_together_is_refused(lab, words, code):
    assert problem(chosen, *words).code == code


def test_this_machine_keeps_what_is_said_of_it(tmp_path):
    local = chosen("--hostfile", written(tmp_path, "localhost slots=4"))[1]["localhost"]
    by_ssh = chosen("--hosts", "root@localhost:2222")[1]["localhost"]

    assert (local["ansible_connection"], local["madctl_slots"]) == ("local", 4)
    assert by_ssh == {"madctl_node_rank": 0, "ansible_user": "root", "ansible_port": 2222}

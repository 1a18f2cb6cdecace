# SPDX-License-Identifier: Apache-2.0
"""A node may answer any facts: malformed ones are that node's problem, and all others are judged."""

import fcntl
import json
import math
import random

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, fact_answers
from ansible_collections.madctl.multinode.plugins.module_utils._node import (
    deadlines,
    docker,
    mount_table,
    node_lock,
    small_files,
)
from ansible_collections.madctl.multinode.plugins.module_utils._plan import network_choice, planner
from ansible_collections.madctl.multinode.plugins.module_utils._probe import (
    gpu_holders,
    gpu_tools,
    gpus,
    node_facts,
)
from ansible_collections.madctl.multinode.plugins.module_utils._request.request import Request
from tests import hostile
from tests.unit.module_utils import healthy_facts as healthy
from tests.unit.module_utils.odd_data import changed


def mount(**more):
    parts = {"fstype": "nfs4", "point": "/nfs", "root": "/", "source": "server:/x", "real": "/nfs", "exists": True}
    options = {
        "options": ["rw"],
        "super_options": ["rw"],
        "hung": None,
        "error": None,
        "path": "/nfs",
        "read_only": False,
    }
    return {**parts, **options, "file": ".madctl-proof-1", "nonce": "n", "janitor": 5, **more}


def node(number):
    """Facts of a node that has something of everything."""
    found = healthy.node(number)
    holder = {"pid": 1, "user": "bob", "command": "python", "age_seconds": 5, "run_id": None, "gpus": [0]}
    containers = [{"name": "container_x", "created": "2026-01-01", "run_id": None}]
    found["gpus"]["holders"] = [holder]
    found["mounts"] = [mount(), mount(hung={"pid": 1, "state": "D", "wait": "nfs"}), mount(exists=False)]
    found["mpi"] = {"program": "/usr/bin/mpirun", "text": "mpirun (Open MPI) 4.1.4"}
    found["madengine"] = {
        "program": "/m",
        "version": "2.0",
        "silent": False,
        "broken": None,
        "runtime": "/d",
        "trouble": None,
    }
    found["madengine"].update(gpu_tool="/g", containers=containers)
    found["trouble"] = {"names": {"error": "x"}}
    found["nccl_files"] = {"/etc/nccl.conf": "NCCL_SOCKET_IFNAME=eno1\n"}
    return found


PATHS = ["/nfs", "/nfs", "/nfs"]
WORKS = [
    {"work": ("train.py",)},
    {"work": ("train.py",), "runner": "mpirun", "interface": "eno1"},
    {"work": ("x",), "shape": "model", "tags": ("a",), "replace_containers": ("",)},
    {"work": ("sh",), "shape": "command", "nproc_per_node": "2", "master_addr": "198.51.100.1", "master_port": "80"},
    {"work": ("train.py",), "interface": "198.51.100.0/24", "gpus": "per-node", "chdir": "/srv"},
]


def test_the_facts_of_the_probe_have_their_shape(tmp_path):
    assert fact_answers.odd_fact(node(1), PATHS) is None
    asked = {name: entry.get("default") for name, entry in node_facts.ARGUMENTS.items()}
    asked.update(shared_paths=[str(tmp_path), f"{tmp_path}/none:ro"], write=True, shape="model")
    real = json.loads(json.dumps(node_facts.collect(asked)))
    assert fact_answers.odd_fact(real, asked["shared_paths"]) is None
    assert fact_answers.odd_fact(real, [str(tmp_path)]) == "mounts"


@pytest.mark.parametrize(
    ("connection", "address"),
    [("", None), ("10.0.0.1 5 10.0.0.2 22", "10.0.0.2"), ("UNKNOWN 65535 UNKNOWN 65535", None), ("a", None)],
)
def test_the_address_that_ssh_came_in_by_is_one_or_none(connection, address):
    assert node_facts._came_in_by(connection) == address


@pytest.mark.parametrize(
    ("local", "address"),
    [
        ("fe80::1%eth0", "10.0.0.2"),
        ("fe80::1%eth1", "fe80::1"),
        ("fe80::1%eth9", "fe80::1"),
        ("fe80::1%", "fe80::1"),
        ("%eth0", None),
        ("fe80::1%$(id)", "fe80::1"),
    ],
)
def test_a_link_local_address_that_ssh_came_in_by_is_that_of_its_device(local, address):
    cards = [healthy.interface("eth1"), healthy.interface("eth0", "10.0.0.2")]

    assert node_facts._came_in_by(f"fe80::2%eth0 5 {local} 22", cards) == address


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("gpus", None),
        ("hostname", ["x"]),
        ("user_id", -1),
        ("interfaces", [{"name": "x"}]),
        ("management_address", "UNKNOWN"),
        ("time", {"begun": math.nan, "ended": 1.0}),
        ("mounts", []),
        ("mounts", [mount(file="../../etc/shadow"), mount(), mount()]),
        ("mounts", [{**{key: of for key, of in mount().items() if key != "root"}, "error": "x"}, mount(), mount()]),
        ("python", {}),
        ("python", {**healthy.node(1)["python"], "wanted_report": {"torch": True}}),
        ("gpus", {"vendor": "amd", "count": 1, "denied": [{"path": "/dev/kfd"}]}),
        ("models", [{"name": "m", "scripts": None, "timeout": None}]),
    ],
)
def test_an_odd_fact_is_named(name, value):
    assert fact_answers.odd_fact({**node(1), name: value}, PATHS) == name


def test_invalid_facts_are_named():
    assert [fact_answers.odd_fact(facts, []) for facts in (None, [], "x", 1)] == ["all of it"] * 4
    assert fact_answers.odd_fact({}, []) == "hostname"


def test_a_device_on_top_of_all_others_is_judged_in_time():
    every = [f"d{number}" for number in range(200)]
    odd = healthy.node(2)
    odd["interfaces"] += [healthy.interface(name, physical=False, bridge=True, lower=every) for name in every]
    assert fact_answers.odd_fact(odd, []) == "interfaces"
    del odd["interfaces"][24:]
    assert fact_answers.odd_fact(odd, []) is None
    request = Request(run_id="r", work=("train.py",), chdir="/srv")
    planner.make(request, ["n1", "n2"], [healthy.node(1), odd])


@pytest.mark.fuzz
def test_facts_of_one_node_never_break_the_judgement_of_all(rounds):
    source = random.Random(5)
    requests = [Request(run_id="20261129-120000-1a2b3c4d", **{"python": "/opt/python", **work}) for work in WORKS]
    taken = 0
    for number in range(rounds):
        odd = changed(node(2), source)
        if fact_answers.odd_fact(odd, PATHS) is not None:
            continue
        taken += 1
        if number % 4:
            continue  # A judgement takes longer than a look.
        odd = fact_answers.dated(odd, {"sent": 99.0, "received": 100.5})
        request = source.choice(requests)
        outcome = planner.make(request, ["n1", "n2"], [node(1), odd])
        json.dumps([outcome.plan, outcome.problems, outcome.warnings, outcome.proof])
        codes.exit_code(outcome.problems)
    assert taken > rounds / 50


@pytest.mark.fuzz
def test_no_line_of_mountinfo_breaks_the_probe(rounds):
    lines = [
        b"22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n",
        b"36 22 0:40 /x /nfs rw,noatime shared:2 master:1 - nfs4 server:/x rw,vers=4.2\n",
        b"37 22 0:41 / /with\\040blank rw - tmpfs  rw\n",
    ]
    for data in hostile.mutated([b"".join(lines), *lines], rounds):
        text = data.decode("utf-8", "surrogateescape")
        assert set(mount_table.entry("/nfs/a", text)) in (
            set(),
            {"point", "root", "fstype", "source", "options", "super_options"},
        )
    odd = "junk\n1 2\n" + lines[1].decode() + "36 22 0:40 / / rw - \n"
    assert mount_table.entry("/nfs/a", odd)["fstype"] == "nfs4"


LONG = "é" * 200_000


def test_the_long_command_line_of_a_holder_of_a_gpu_is_cut(tmp_path):
    process = tmp_path / "proc" / "77"
    process.mkdir(parents=True)
    (process / "cmdline").write_text("python\0" + LONG)
    (process / "comm").write_text("python")
    (process / "environ").write_text(f"MADCTL_RUN_ID={LONG}\0")
    found = node(1)
    found["gpus"]["holders"] = gpu_holders.holder(str(tmp_path), 77, [0])

    assert found["gpus"]["holders"][0]["command"].startswith("python é")
    assert len(found["gpus"]["holders"][0]["command"]) == 300
    assert fact_answers.odd_fact(found, PATHS) is None


def test_names_of_gpus_have_a_bounded_length():
    found = node(1)
    found["gpus"] = gpus._result("amd", "x" * 300, gpu_tools.Found([LONG], LONG, [], {"dead": [LONG]}), [LONG])

    assert found["gpus"]["count"] == 1
    assert fact_answers.odd_fact(found, PATHS) is None


def test_the_options_of_a_mount_may_be_long():
    layers = "lowerdir=" + ":".join(f"/var/lib/containers/storage/overlay/l/{number:026}" for number in range(500))
    line = f"36 22 0:40 / /nfs rw - overlay {'server,' * 900}:/x rw,{layers}{',x' * 2000}\n"
    found = node(1)
    found["mounts"][0].update(mount_table.entry("/nfs", line), real="/nfs")

    assert len(found["mounts"][0]["super_options"]) == 2002
    assert fact_answers.odd_fact(found, PATHS) is None


def test_the_error_of_a_child_has_a_bounded_length():
    def fail():
        raise ValueError(LONG)

    found = node(1)
    found["trouble"] = deadlines.together({"names": (fail, ())}, 60.0)
    found["mounts"][0].update(error=found["trouble"]["names"]["error"])

    assert found["trouble"]["names"]["error"].startswith("ValueError: é")
    assert fact_answers.odd_fact(found, PATHS) is None


def test_the_words_of_a_container_runtime_and_madengine_have_a_bounded_length(tmp_path, monkeypatch):
    runtime = tmp_path / "docker"
    entry = {"Name": "/container_" + "x" * 9000, "Created": "", "Config": {"Env": ["MADCTL_RUN_ID=" + "y" * 9000]}}
    (tmp_path / "inspected").write_text(json.dumps([entry]))
    runtime.write_text(f'#!/bin/sh\n[ "$1" = ps ] && echo container_x || cat {tmp_path}/inspected\n')
    engine = tmp_path / "madengine"
    engine.write_text("#!/bin/sh\nhead -c 300000 /dev/zero | tr '\\0' x >&2\nexit 3\n")
    for program in (runtime, engine):
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    found = node(1)
    found["madengine"] = docker.look(None)

    assert [entry["name"][:10] for entry in found["madengine"]["containers"]] == ["container_"]
    assert fact_answers.odd_fact(found, PATHS) is None
    runtime.write_text("#!/bin/sh\nhead -c 300000 /dev/zero | tr '\\0' x >&2\nexit 3\n")
    found["madengine"] = docker.look(None)
    assert found["madengine"]["trouble"].startswith("xxx")
    assert fact_answers.odd_fact(found, PATHS) is None


def test_oversized_files_of_a_node_are_cut(tmp_path, monkeypatch):
    (tmp_path / "lock").write_bytes(b"\xff" + b"x" * 9000)
    with open(tmp_path / "lock") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        holder = node_lock.holder(str(tmp_path / "lock"))
    (tmp_path / "machine-id").write_text(LONG)
    found = {**node(1), "locked_by": holder, "machine_id": small_files.text(str(tmp_path / "machine-id"), 256)}

    assert holder.endswith("xxx")
    assert fact_answers.odd_fact(found, PATHS) is None


def services(count):
    """Return a device with every address of a cluster's services."""
    both = [{"address": f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", "prefix": 32} for n in range(count // 2)]
    both += [{"address": f"fd00::{n:x}", "prefix": 128} for n in range(count - count // 2)]
    return {**healthy.node(1)["interfaces"][0], "name": "kube-ipvs0", "kind": "dummy", "addresses": both}


def test_a_device_may_have_the_addresses_of_all_services_of_a_cluster():
    found = node(1)
    found["interfaces"] = [*found["interfaces"], services(20_000)]

    assert fact_answers.odd_fact(found, PATHS) is None
    found["interfaces"] = [*found["interfaces"], *(dict(services(1 << 15), name=f"x{n}") for n in range(2))]
    assert fact_answers.odd_fact(found, PATHS) == "interfaces"


def test_few_of_the_addresses_of_a_device_are_explained_and_the_chosen_one_always():
    facts = [node(1), node(2)]
    for fact, last in zip(facts, ("203.0.113.1", "203.0.113.2")):
        own = {**services(1000), "kind": None, "name": "eth9"}
        own["addresses"] = [*own["addresses"], {"address": last, "prefix": 24}]
        fact["interfaces"] = [*fact["interfaces"], own]
    chosen, _ = network_choice.choose(["n1", "n2"], facts, "203.0.113.0/24")
    rows = [row for row in network_choice.explain(["n1", "n2"], facts, chosen)["n1"] if row["interface"] == "eth9"]

    assert len(rows) == 65
    assert [row["address"] for row in rows if row["verdict"] == "chosen"] == ["203.0.113.1"]


@pytest.mark.parametrize(
    ("address", "prefix", "is_one"),
    [
        *(("10.0.0.1", 32, True), ("::1", 128, True), ("fe80::1", 64, True), ("10.0.0.1", 33, False)),
        *((text, 8, False) for text in ("010.0.0.1", "10.1", "::1%lo", "\udcff", "\0", "10.0.0.1\0", "10.0.0.1/8", "")),
    ],
)
def test_an_address_is_as_the_standard_library_reads_it(address, prefix, is_one):
    assert fact_answers._is_address({"address": address, "prefix": prefix}) == is_one

# SPDX-License-Identifier: Apache-2.0
"""A node may answer anything: what is odd is that node's problem, and all others are judged."""

import copy
import fcntl
import importlib
import json
import math
import random
import re
from pathlib import Path

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, node_answers, wire
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import bundles, streams
from ansible_collections.madctl.multinode.plugins.module_utils._node import deadlines, docker, mount_table
from ansible_collections.madctl.multinode.plugins.module_utils._plan import network_choice, planner, proof_verdict
from ansible_collections.madctl.multinode.plugins.module_utils._probe import (
    fingerprint,
    gpu_holders,
    gpu_tools,
    gpus,
    node_facts,
)
from ansible_collections.madctl.multinode.plugins.module_utils._request.request import Request
from ansible_collections.madctl.multinode.plugins.module_utils._runs import survey
from ansible_collections.madctl.multinode.plugins.module_utils._show import status_table
from madctl.housekeeping import cleaning, plays
from madctl.nodes.inventory import GROUP
from madctl.nodes.targets import Targets
from madctl.runs import held_runs
from madctl.runs.exit_records import how_it_ended
from tests import hostile
from tests.unit.module_utils import healthy_facts as healthy

PLUGINS = Path(__file__).parents[4] / "plugins"
ODD = [
    *(None, True, False, 0, -1, 1, 1 << 70, -(1 << 70), 1e300, -1e300, math.inf, math.nan, 0.5),
    *("", "x", "x" * 5000, "\ud800", "\udcff", "10.0.0.1", "fe80::1%x", "999.0.0.1", "../../x"),
    *([], {}, [[]], [None], [{}], {"": None}, ["x"] * 1100),
    *hostile.LANGUAGES.values(),
]


def places(data, path=()):
    """Give the place of everything in nested data."""
    yield path
    for key, value in data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ():
        yield from places(value, (*path, key))


def changed(data, source):
    """Give a copy of data with one to three things in it that are odd, gone, or from another place."""
    data = copy.deepcopy(data)
    for _ in range(source.randint(1, 3)):
        *path, last = source.choice([path for path in places(data) if path])
        place = data
        for key in path:
            place = place[key]
        kind = source.randrange(4)
        if kind == 0:
            del place[last]
        elif kind == 1:
            place[last] = copy.deepcopy(source.choice(list(data.values()) if isinstance(data, dict) else data))
        else:
            place[last] = copy.deepcopy(source.choice(ODD))
        if not data:
            break
    return data


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
    found["madengine"] = {"program": "/m", "version": "2.0", "broken": None, "runtime": "/d", "trouble": None}
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


def test_what_the_probe_gives_has_its_shape(tmp_path):
    assert node_answers.odd_fact(node(1), PATHS) is None
    asked = {name: entry.get("default") for name, entry in node_facts.ARGUMENTS.items()}
    asked.update(shared_paths=[str(tmp_path), f"{tmp_path}/none:ro"], write=True, shape="model")
    real = json.loads(json.dumps(node_facts.collect(asked)))
    assert node_answers.odd_fact(real, asked["shared_paths"]) is None
    assert node_answers.odd_fact(real, [str(tmp_path)]) == "mounts"


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
        ("python", {}),
        ("python", {**healthy.node(1)["python"], "wanted_report": {"torch": True}}),
        ("gpus", {"vendor": "amd", "count": 1, "denied": [{"path": "/dev/kfd"}]}),
        ("models", [{"name": "m", "scripts": None, "timeout": None}]),
    ],
)
def test_a_node_with_odd_facts_is_named(name, value):
    assert node_answers.odd_fact({**node(1), name: value}, PATHS) == name


def test_facts_that_are_none_at_all_are_named():
    assert [node_answers.odd_fact(facts, []) for facts in (None, [], "x", 1)] == ["all of it"] * 4
    assert node_answers.odd_fact({}, []) == "hostname"


def test_a_device_that_stands_on_all_others_is_judged_in_time():
    every = [f"d{number}" for number in range(200)]
    odd = healthy.node(2)
    odd["interfaces"] += [healthy.interface(name, physical=False, bridge=True, lower=every) for name in every]
    assert node_answers.odd_fact(odd, []) == "interfaces"
    del odd["interfaces"][24:]
    assert node_answers.odd_fact(odd, []) is None
    request = Request(run_id="r", work=("train.py",), chdir="/srv")
    planner.make(request, ["n1", "n2"], [healthy.node(1), odd])


@pytest.mark.fuzz
def test_facts_of_one_node_never_break_the_judgement_of_all(rounds):
    source = random.Random(5)
    requests = [Request(run_id="20261129-120000-1a2b3c4d", **{"python": "/opt/python", **work}) for work in WORKS]
    taken = 0
    for number in range(rounds):
        odd = changed(node(2), source)
        if node_answers.odd_fact(odd, PATHS) is not None:
            continue
        taken += 1
        if number % 4:
            continue  # A judgement takes longer than a look.
        odd = node_answers.dated(odd, {"sent": 99.0, "received": 100.5})
        request = source.choice(requests)
        outcome = planner.make(request, ["n1", "n2"], [node(1), odd])
        json.dumps([outcome.plan, outcome.problems, outcome.warnings, outcome.proof])
        codes.exit_code(outcome.problems)
    assert taken > rounds / 50


PROVED = {"connect": [{"port": 5, "error": None}], "read": [{"value": {"n1": "n"}}], "peers": {"n1": "127.0.0.1"}}
ENDED = {"outcome": "exited", "exit_code": 0, "signal": None, "stopped": True, "reason": "stopped", "left_behind": []}
TARGETS = Targets(("n1", "n2"), {"all": {"children": {GROUP: {"hosts": {"n1": {}, "n2": {}}, "vars": {}}}}}, ())
DESCRIBED = {
    "run_id": "20261129-120000-1a2b3c4d",
    "created": 1.5,
    "host": "n1",
    "node_rank": 0,
    "hosts": ["n1", "n2"],
    "work": ["a", {"base64": "/w=="}],
    "addresses": ["10.0.0.1", "10.0.0.2"],
    "plan": {
        "runner": "torchrun",
        "shape": "script",
        "master_addr": "a",
        "master_port": 5,
        "nnodes": 2,
        "world_size": 16,
    },
}
HELD = {"run_id": DESCRIBED["run_id"], "run_dir": "/r", "state": "exited", "exit": ENDED, "described": DESCRIBED}
GOOD = {
    "arm": {"container": "session", "proof": {**PROVED, "listen": None}},
    "prove": {**PROVED, "listen": None},
    "look": {
        "state": "exited",
        "exit": ENDED,
        "supervisor": 5,
        "container": "systemd",
        "storage": "/nfs",
        "processes": 0,
        "joined": 2,
    },
    "end": {"changed": True, "known": True, "left": ["5 (python)"]},
    "stop_now": {"left": []},
    "is_alive": {"alive": True},
    "survey": {"runs": [HELD, {**HELD, "exit": None, "described": None}]},
    "alive": {"alive": ["x"]},
    "clear": {"removed": [{"run_id": "x", "bytes": 5}], "programs": [{"name": "bin-1", "bytes": 5}]},
}
GOOD["clear"].update(held=["y"], stuck=[{"path": "/r/x", "reason": "Permission denied"}])


def test_every_function_that_is_called_has_a_shape():
    text = "".join(path.read_text() for path in PLUGINS.rglob("*.py"))
    called = dict(reversed(name.split(":")) for name in re.findall(r'"(_\w+\.\w+:\w+)"', text))

    assert set(called) == set(node_answers.SHAPES)
    for function, module in called.items():
        assert callable(getattr(importlib.import_module(f"{bundles.own_sources.PACKAGE}.{module}"), function))


@pytest.mark.parametrize(("function", "answer"), GOOD.items(), ids=GOOD)
def test_what_a_function_gives_is_taken(function, answer):
    assert node_answers.checked(function, answer) == answer


@pytest.mark.parametrize("run_id", ["", ".", "..", "../x", "/x", "x/y", "\x1b[2J", "x\n", "x" * 256, 5, ["x"]])
def test_a_run_s_id_can_be_the_name_of_a_directory_here(run_id):
    good = {**HELD, "run_id": "my run"}
    assert node_answers.checked("survey", {"runs": [{**HELD, "run_id": run_id}, good, None, "x"]}) == {"runs": [good]}


@pytest.mark.parametrize(
    ("function", "place"),
    [
        ("look", ["exit", "stopped"]),
        ("look", ["exit", "signal"]),
        ("look", ["exit", "outcome"]),
        ("clear", ["held"]),
        ("clear", ["stuck"]),
        ("clear", ["stuck", 0, "reason"]),
        ("clear", ["stuck", 0, "path"]),
    ],
)
def test_what_is_read_of_an_answer_is_there(function, place):
    answer = copy.deepcopy(GOOD[function])
    *path, last = place
    within = answer
    for key in path:
        within = within[key]
    del within[last]
    assert node_answers.checked(function, answer)["failed"]


def test_a_node_s_own_words_for_a_failure_are_text():
    for answer in ({"failed": True}, {"failed": 1, "msg": None}, {"failed": True, "msg": ["x"]}):
        assert isinstance(node_answers.checked("end", answer)["msg"], str)


def test_an_answer_that_is_another_one_is_that_node_s_failure():
    for text in ("[]", "{}", "{", '{"left": []}', "[" * 200_000, '{"changed": 1, "known": true, "left": []}'):
        (found,) = answered("A" + text)
        assert found["failed"] and "rc" not in found
    for news in (b"[]", b'{"listening": ["x"]}', b'{"listening": [0]}', b"{" * 100_000):
        with pytest.raises(streams.Refused, match="news|JSON"):
            streams.Call(None, 1, streams.Task(":end", None, print, told=print)).hear(b"N" + news + b"\n")


def answered(*lines):
    """Give what a call answers whose node writes these lines, and ends."""
    found = []
    call = streams.Call(None, 1, streams.Task(":end", None, found.append))
    call.hear("".join(f"{line}\n" for line in lines).encode())
    call.ended(None)
    return found


def test_a_call_answers_once_whatever_else_is_written():
    good = 'A{"changed": true, "known": true, "left": []}'

    assert answered("junk of a login script", good, 'A{"failed": true, "msg": "x"}') == [json.loads(good[1:])]
    assert [found["msg"] for found in answered("junk")] == ["it ended without an answer"]


@pytest.mark.fuzz
def test_answers_of_one_node_break_nothing(rounds):
    from ansible_collections.madctl.multinode.plugins.module_utils._conduct import find_run

    source = random.Random(6)
    wanted = {
        "read": [{"path": "/nfs", "names": {"n1": "f"}}],
        "written": [{"path": "/nfs", "nonce": "n"}],
        "connect": {"source": "a", "address": "b"},
    }
    proof = {"n1": {**wanted, "listen": {"ports": [5], "address": "b"}}, "n2": wanted}
    for _ in range(rounds):
        function = source.choice(list(GOOD))
        found = node_answers.checked(function, changed(GOOD[function], source))
        if found.get("failed"):
            assert isinstance(found["msg"], str)
        elif function == "look":
            status_table.rows([{"host": "n2", **found}])
            how_it_ended([found], 1, DESCRIBED["plan"])
        elif function == "clear":
            cleaned = cleaning.Cleaning([], 7.0, None, True)
            cleaned._take(plays.split(TARGETS)[1], "n2", found)
            cleaned.lines([], [])
        elif function == "prove":
            json.dumps(proof_verdict.judge(proof, {"n1": {**GOOD["prove"]}, "n2": found}))
        elif function == "survey" and found["runs"]:
            for one in held_runs.held({"n2": found}, TARGETS):
                one.record(TARGETS)
            held = {"n2": {run["run_id"]: run for run in found["runs"]}}
            run_id = find_run._choose(held, "")
            find_run._plan(run_id, {"n2": held["n2"][run_id]}, {}, is_named=False)
            assert "/" not in run_id and not run_id.startswith(".")
        else:
            json.dumps(found)


@pytest.mark.fuzz
def test_no_line_of_mountinfo_costs_the_look(rounds):
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


@pytest.mark.fuzz
def test_no_description_of_a_run_breaks_the_survey(rounds, tmp_path):
    sample = json.dumps({**DESCRIBED, "more": 1}).encode()
    for number, data in enumerate(hostile.mutated([sample, json.dumps(ENDED).encode()], rounds)):
        (tmp_path / ("run.json", "exit.json")[number % 2]).write_bytes(data)
        found = {"run_id": DESCRIBED["run_id"], "run_dir": "/r", "state": "exited", "exit": survey._exit(str(tmp_path))}
        found["described"] = survey.description(str(tmp_path), DESCRIBED["run_id"])
        assert "runs" in node_answers.checked("survey", {"runs": [json.loads(json.dumps(found))]})


def test_a_parser_of_objects_refuses_everything_else():
    for text in ("", "1", "null", '"x"', "[" * 100_000, "\ud800", b"\xff"):
        with pytest.raises(wire.WireError):
            wire.parse(text)


def test_arming_that_was_refused_since_the_run_was_stopped_says_so():
    refused = {"failed": True, "stopped": True, "msg": "the run was stopped"}

    assert node_answers.checked("arm", dict(refused)) == refused
    assert node_answers.checked("arm", {**refused, "stopped": "yes"}) == {"failed": True, "msg": "the run was stopped"}


LONG = "é" * 200_000


def test_a_holder_of_a_gpu_with_a_long_command_line_is_told_in_short(tmp_path):
    process = tmp_path / "proc" / "77"
    process.mkdir(parents=True)
    (process / "cmdline").write_text("python\0" + LONG)
    (process / "comm").write_text("python")
    (process / "environ").write_text(f"MADCTL_RUN_ID={LONG}\0")
    found = node(1)
    found["gpus"]["holders"] = gpu_holders.holder(str(tmp_path), 77, [0])

    assert found["gpus"]["holders"][0]["command"].startswith("python é")
    assert len(found["gpus"]["holders"][0]["command"]) == 300
    assert node_answers.odd_fact(found, PATHS) is None


def test_names_of_gpus_are_of_bounded_length():
    found = node(1)
    found["gpus"] = gpus._result("amd", "x" * 300, gpu_tools.Found([LONG], LONG, [], {"dead": [LONG]}), [LONG])

    assert found["gpus"]["count"] == 1
    assert node_answers.odd_fact(found, PATHS) is None


def test_mounts_have_options_of_any_length():
    layers = "lowerdir=" + ":".join(f"/var/lib/containers/storage/overlay/l/{number:026}" for number in range(500))
    line = f"36 22 0:40 / /nfs rw - overlay {'server,' * 900}:/x rw,{layers}{',x' * 2000}\n"
    found = node(1)
    found["mounts"][0].update(mount_table.entry("/nfs", line), real="/nfs")

    assert len(found["mounts"][0]["super_options"]) == 2002
    assert node_answers.odd_fact(found, PATHS) is None


def test_what_a_child_says_of_its_failure_is_of_bounded_length():
    def fail():
        raise ValueError(LONG)

    found = node(1)
    found["trouble"] = deadlines.together({"names": (fail, ())})
    found["mounts"][0].update(error=found["trouble"]["names"]["error"])

    assert found["trouble"]["names"]["error"].startswith("ValueError: é")
    assert node_answers.odd_fact(found, PATHS) is None


def test_what_a_container_runtime_and_madengine_say_is_of_bounded_length(tmp_path, monkeypatch):
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
    assert node_answers.odd_fact(found, PATHS) is None
    runtime.write_text("#!/bin/sh\nhead -c 300000 /dev/zero | tr '\\0' x >&2\nexit 3\n")
    found["madengine"] = docker.look(None)
    assert found["madengine"]["trouble"].startswith("xxx")
    assert node_answers.odd_fact(found, PATHS) is None


def test_files_of_a_node_that_hold_more_than_they_should_are_cut(tmp_path, monkeypatch):
    (tmp_path / "lock").write_bytes(b"\xff" + b"x" * 9000)
    with open(tmp_path / "lock") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        holder = fingerprint.lock_holder(str(tmp_path))
    (tmp_path / "machine-id").write_text(LONG)
    found = {**node(1), "locked_by": holder, "machine_id": node_facts._read(str(tmp_path / "machine-id"), 256)}

    assert holder.endswith("xxx")
    assert node_answers.odd_fact(found, PATHS) is None


def services(count):
    """Give the device that holds every address of a cluster's services."""
    both = [{"address": f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", "prefix": 32} for n in range(count // 2)]
    both += [{"address": f"fd00::{n:x}", "prefix": 128} for n in range(count - count // 2)]
    return {**healthy.node(1)["interfaces"][0], "name": "kube-ipvs0", "kind": "dummy", "addresses": both}


def test_a_device_may_have_the_addresses_of_all_services_of_a_cluster():
    found = node(1)
    found["interfaces"] = [*found["interfaces"], services(20_000)]

    assert node_answers.odd_fact(found, PATHS) is None
    found["interfaces"] = [*found["interfaces"], *(dict(services(1 << 15), name=f"x{n}") for n in range(2))]
    assert node_answers.odd_fact(found, PATHS) == "interfaces"


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
    assert node_answers._is_interface({"address": address, "prefix": prefix}) == is_one

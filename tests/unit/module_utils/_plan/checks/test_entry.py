# SPDX-License-Identifier: Apache-2.0
"""Scripts, programs and modules: found on a node with real files, and judged as tables."""

import os
import sys

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import command_line
from ansible_collections.madctl.multinode.plugins.module_utils._node import executables
from ansible_collections.madctl.multinode.plugins.module_utils._plan import planner
from ansible_collections.madctl.multinode.plugins.module_utils._probe import fingerprint
from ansible_collections.madctl.multinode.plugins.module_utils._request.request import Request
from tests.unit.module_utils.healthy_facts import changed, node, report


def make(facts, *work, **request):
    hosts = [f"n{index}" for index in range(1, len(facts) + 1)]
    fields = {"run_id": "r", "work": work, "python": "/opt/python", "chdir": "/job", **request}
    return planner.make(Request(**fields), hosts, facts)


def codes(outcome):
    return [(entry["code"], entry["host"]) for entry in outcome.problems]


# -- what a rank executes -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("work", "executed"),
    [
        (("train.py", "x"), ["P", "train.py", "x"]),
        (("-m", "pkg.mod"), ["P", "-m", "pkg.mod"]),
        (("python", "solo.py"), ["P", "solo.py"]),
        (("python3", "-u", "-m", "pkg.mod", "x"), ["P", "-u", "-m", "pkg.mod", "x"]),
        (("python3.11", "-c", "print()"), ["P", "-c", "print()"]),
        (("/opt/python", "solo.py"), ["P", "solo.py"]),
        (("./run.sh", "x"), ["./run.sh", "x"]),
        (("hostname",), ["hostname"]),
        (("pythonic", "x"), ["pythonic", "x"]),
        (("python-config",), ["python-config"]),
        (("pypy3", "x.py"), ["pypy3", "x.py"]),
        (("./venv/bin/python", "x.py"), ["./venv/bin/python", "x.py"]),
    ],
)
def test_python_as_the_first_word_is_the_job_s(work, executed):
    assert command_line.rank_argv(work, "P") == executed


def test_the_path_of_a_python_wins_over_the_usual_one_and_has_to_be_there():
    facts = changed(2, "python", "wanted_exists", False)

    assert codes(make([node(1), facts], "/opt/venv/python", "solo.py")) == [("PYTHON_MISSING", "n2")]


@pytest.mark.parametrize(
    ("name", "is_it"),
    [("python", True), ("python3", True), ("python3.11", True), ("python3.1", False), ("python2", False)],
)
def test_a_python_that_is_named_with_a_version_has_it(name, is_it):
    assert codes(make([node(1)], name, "solo.py")) == ([] if is_it else [("PYTHON_MISSING", "n1")])


# -- what nodes need -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("work", "shape", "entry", "program", "module", "relative"),
    [
        (("train.py",), "script", "train.py", None, None, "train.py"),
        (("/nfs/train.py",), "script", "/nfs/train.py", None, None, None),
        (("python", "-u", "a.py"), "script", "a.py", None, None, "a.py"),
        (("python", "-c", "a.py"), "script", None, None, None, None),
        (("-m", "pkg.mod"), "script", None, None, "pkg.mod", "pkg.mod"),
        (("python", "-m", "pkg.mod"), "script", None, None, "pkg.mod", "pkg.mod"),
        (("python", "-m", "pkg.mod"), "command", None, "python", None, "pkg.mod"),
        (("./run.sh",), "script", None, "./run.sh", None, "./run.sh"),
        (("hostname", "-f"), "script", None, "hostname", None, None),
        (("bash", "run.sh"), "command", "run.sh", "bash", None, "run.sh"),
        (("bash", "-c", "run.sh"), "command", None, "bash", None, None),
        (("./venv/bin/python", "a.py"), "script", "a.py", "./venv/bin/python", None, "a.py"),
        (("env", "A=1", "bash", "run.sh"), "command", "run.sh", "env", None, "run.sh"),
        (("nohup", "./run.sh"), "command", None, "nohup", None, "./run.sh"),
        (("nice", "-n", "5", "python", "-m", "pkg.mod"), "script", None, "nice", None, "pkg.mod"),
        (("timeout", "5", "bash", "/nfs/run.sh"), "script", "/nfs/run.sh", "timeout", None, None),
        (("env", "A=1"), "script", None, "env", None, None),
        (("/nfs/run.sh",), "command", None, "/nfs/run.sh", None, None),
        (("train.py",), "command", None, "train.py", None, None),
        (("--live-output",), "model", "models.json", None, None, "models.json"),
        ((), "model", "models.json", None, None, "models.json"),
        ((), "script", None, None, None, None),
    ],
)
def test_what_a_node_must_have_for_the_work(work, shape, entry, program, module, relative):
    assert command_line.entry_script(work, shape) == entry
    assert command_line.program(work, shape) == program
    assert command_line.module(work, shape) == module
    assert command_line.relative(work, shape) == relative


@pytest.mark.parametrize(
    ("work", "shape"),
    [(("-m", "pkg.mod"), "script"), (("bash", "run.sh"), "command"), (("./run.sh",), "command")],
)
def test_work_in_a_directory_that_nodes_lack_is_refused(work, shape):
    facts = [changed(number, "files", "chdir_exists", False) for number in (1, 2)]
    refused = make(facts, *work, shape=shape)

    assert codes(refused) == [("ENTRY_MISSING", "n1"), ("ENTRY_MISSING", "n2")]
    assert "--chdir" in refused.problems[0]["remedy"]


@pytest.mark.parametrize(
    ("work", "shape"),
    [(("bash", "/nfs/run.sh"), "command"), (("hostname",), "script"), (("python", "-c", "1"), "script")],
)
def test_work_that_needs_no_directory_runs_in_the_home_directory(work, shape):
    facts = [changed(number, "files", "chdir_exists", False) for number in (1, 2)]

    assert make(facts, *work, shape=shape).plan["nodes"][0]["cwd"] == "/root"


@pytest.mark.parametrize(
    ("fault", "code", "remedy"),
    [
        ("does not exist", "ENTRY_MISSING", "put it where every node has it, or send it: --sync DIR"),
        ("is not on the PATH", "ENTRY_MISSING", "put it where every node has it, or send it: --sync DIR"),
        ("is not on the PATH, but in the working directory", "ENTRY_MISSING", "write ./run.sh"),
        ("is not executable", "ENTRY_UNUSABLE", "chmod +x run.sh, or write: bash run.sh"),
        ("is a directory", "ENTRY_UNUSABLE", "give a program"),
        ("has no #! line", "ENTRY_UNUSABLE", "bash run.sh"),
        ("needs /bin/none, which does not exist", "ENTRY_UNUSABLE", "bash run.sh"),
    ],
)
@pytest.mark.parametrize("shape", ["script", "command"])
def test_a_program_that_cannot_be_executed(fault, code, remedy, shape):
    found = make([node(1), changed(2, "files", "program_fault", fault)], "run.sh", shape=shape)

    assert codes(found) == [(code, "n2")]
    assert remedy in found.problems[0]["remedy"]
    assert found.problems[0]["message"] == f"run.sh {fault}"


def test_mpirun_runs_a_command_on_the_first_node_only():
    mpi = {"program": "/usr/bin/mpirun", "text": "mpirun (Open MPI) 4.1.4"}
    facts = [node(1, mpi=mpi), {**changed(2, "files", "program_fault", "does not exist"), "mpi": mpi}]

    assert codes(make(facts, "./x", shape="command", runner="mpirun", allow_run_as_root=True)) == []


def test_a_module_that_the_job_s_python_does_not_find():
    facts = changed(2, "python", "wanted_report", report(module=False))

    assert codes(make([node(1), facts], "-m", "pkg.mod")) == [("ENTRY_MISSING", "n2")]


# -- a node with real files -----------------------------------------------------------------------


def program(path, text, mode=0o755):
    path.write_bytes(text)
    path.chmod(mode)
    return str(path)


@pytest.mark.parametrize(
    ("text", "mode", "fault"),
    [
        (b"#!/bin/sh\n", 0o755, None),
        (b"#! /bin/sh -e\n", 0o755, None),
        (b"#!/usr/bin/env -S sh -e\n", 0o755, None),
        (b"\x7fELF\0", 0o755, None),
        (b"#!/bin/sh\n", 0o644, "is not executable"),
        (b"echo\n", 0o755, "has no #! line"),
        (b"", 0o755, "has no #! line"),
        (b"#!\n", 0o755, "has an empty #! line"),
        (b"#!/bin/sh\r\n", 0o755, "has a #! line that ends in a carriage return"),
        (b"#!/no/such\n", 0o755, "needs /no/such, which does not exist"),
        (b"#!/tmp\n", 0o755, "needs /tmp, which does not exist"),
        (b"#!/usr/bin/env nosuchprogram\n", 0o755, "needs nosuchprogram, which is not on the PATH"),
    ],
)
def test_why_the_kernel_would_not_execute_a_file(tmp_path, text, mode, fault):
    path = program(tmp_path / "run.sh", text, mode)

    assert executables.fault(path) == fault
    assert fingerprint.files(str(tmp_path), None, "./run.sh")["program_fault"] == fault


def test_a_directory_and_nothing_at_all(tmp_path):
    assert executables.fault(str(tmp_path)) == "is a directory"
    assert executables.fault(str(tmp_path / "none")) == "does not exist"


def test_a_name_is_looked_up_on_the_path_that_the_job_has(tmp_path):
    program(tmp_path / "tool", b"#!/bin/sh\n")
    job, here = {"PATH": str(tmp_path)}, str(tmp_path)

    assert fingerprint.files("/", None, "tool", job["PATH"])["program_fault"] is None
    assert fingerprint.files("/", None, "tool")["program_fault"] == "is not on the PATH"
    beside = "is not on the PATH, but in the working directory"
    assert fingerprint.files(here, None, "tool")["program_fault"] == beside


def module_is_there(place, name, **env):
    return fingerprint.python(sys.executable, True, None, name, str(place), env)["wanted_report"]["module"]


def test_a_module_is_found_without_running_its_packages(tmp_path):
    ran = tmp_path / "ran"
    for package in ("pkg", "pkg/sub", "pkg/main"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text(f"open({str(ran)!r}, 'w')\n")
    for file in ("pkg/mod.py", "pkg/sub/mod.py", "pkg/main/__main__.py", "single.py"):
        (tmp_path / file).write_text("raise SystemExit\n")
    (tmp_path / "spread/deep").mkdir(parents=True)
    (tmp_path / "spread/deep/mod.py").write_text("")

    good = ["pkg.mod", "pkg.sub.mod", "pkg.main", "single", "spread.deep.mod", "json.tool", "http.server", "timeit"]
    bad = ["pkg", "pkg.sub", "pkg.none", "none", "none.mod", "single.mod", "spread.deep", "json.none", "pkg..mod"]
    assert [name for name in good if not module_is_there(tmp_path, name)] == []
    assert [name for name in bad if module_is_there(tmp_path, name)] == []
    assert not ran.exists()


def test_a_module_is_looked_for_where_the_job_looks(tmp_path):
    (tmp_path / "mine.py").write_text("")

    assert not module_is_there("/", "mine")
    assert module_is_there("/", "mine", PYTHONPATH=str(tmp_path))
    assert os.path.isfile(sys.executable)


# -- code that was sent ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "below"), [({"chdir": None}, "code"), ({"chdir": "src"}, "code/src"), ({"run_dir": "/b/"}, "code/src")]
)
def test_a_job_runs_in_its_own_copy_of_the_code(fields, below):
    request = {"code": {"tree": "0" * 64}, "chdir_required": True, "chdir": "src", "run_dir": "/b", **fields}
    plan = make([node(1), node(2)], "train.py", **request).plan

    assert [own["cwd"] for own in plan["nodes"]] == [f"/b/r/{below}"] * 2
    assert plan["code"] == request["code"]


def test_a_node_without_a_directory_of_the_code_is_refused():
    found = make([node(1), changed(2, "files", "chdir_exists", False)], "train.py", code={"tree": "0" * 64})

    assert codes(found) == [("CHDIR_MISSING", "n2")]

# SPDX-License-Identifier: Apache-2.0
"""Judges of many nodes, as tables: one fact changed on one node, one code for that node."""

import ast
from pathlib import Path

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import catalog
from ansible_collections.madctl.multinode.plugins.module_utils._plan import planner
from ansible_collections.madctl.multinode.plugins.module_utils._plan.checks import gpus, limits, order
from ansible_collections.madctl.multinode.plugins.module_utils._request.request import Request
from tests.unit.module_utils.healthy_facts import changed, interface, node, report

REQUEST = {"run_id": "r", "work": ("train.py",), "python": "/opt/python", "chdir": "/job"}


def make(facts, **request):
    hosts = [f"n{index}" for index in range(1, len(facts) + 1)]
    return planner.make(Request(**{**REQUEST, **request}), hosts, facts)


def found(outcome):
    return [(entry["code"], entry["host"]) for entry in outcome.problems + outcome.warnings]


def other(**more):
    """Return node 2, whose Python reports something else."""
    return changed(2, "python", "wanted_report", report(**more))


CASES = {
    "busy": (node(2, locked_by="20260101-x"), "NODE_BUSY"),
    "own name": (node(2, names=["127.0.1.1"]), "NAME_IS_LOOPBACK"),
    "vendor": (changed(2, "gpus", "vendor", "nvidia"), "GPU_VENDOR_DIFFERS"),
    "driver": (changed(2, "gpus", "driver", "6.8"), "GPU_DRIVER_DIFFERS"),
    "model": (changed(2, "gpus", "models", ["MI250"] * 8), "GPU_MODEL_DIFFERS"),
    "note": (changed(2, "gpus", "note", "amd-smi hangs"), "GPU_UNKNOWN"),
    "torch": (other(torch_build={"version": "2.12.0", "hip": "7.1"}), "TORCH_DIFFERS"),
    "rocm": (other(torch_build={"version": "2.13.0", "hip": "6.4"}), "TORCH_DIFFERS"),
    "numpy": (other(packages={"numpy": "1.0"}), None),
    "python": (other(version="3.12.1"), "PYTHON_VERSION_DIFFERS"),
    "silent python": (changed(2, "python", "wanted_report", None), "PYTHON_MISSING"),
    "kernel": (node(2, kernel="5.4.0"), "KERNEL_DIFFERS"),
    "user": (node(2, user_id=5), "USER_NUMBER_DIFFERS"),
    "script": (changed(2, "files", "entry_sha256", "bb"), "ENTRY_DIFFERS"),
    "hung directory": (node(2, files=None), "ENTRY_HUNG"),
    "full": (changed(2, "space", "run_free", 1 << 20), "DISK_FULL"),
    "no inodes": (changed(2, "space", "run_inodes_free", 3), "DISK_FULL"),
    "low": (changed(2, "space", "run_free", 1 << 29), "DISK_LOW"),
    "not writable": (changed(2, "space", "run_writable", False), "RUN_DIR_UNWRITABLE"),
    "hung run directory": (node(2, space=None), "RUN_DIR_UNWRITABLE"),
    "shm": (changed(2, "space", "shm_free", 1 << 26), "SHM_LOW"),
    "memlock": (changed(2, "limits", "memlock", 65536), "MEMLOCK_LOW"),
    "nofile": (changed(2, "limits", "nofile", 1024), "NOFILE_LOW"),
    "nccl file": (node(2, nccl_files={"/etc/nccl.conf": "NCCL_SOCKET_IFNAME=eth9\n"}), "NCCL_CONF"),
    **{
        "nccl file, %s" % value: (node(2, nccl_files={"/etc/nccl.conf": "NCCL_SOCKET_IFNAME = %s\n" % value}), code)
        for value, code in (
            ("^docker0", None),
            ("^docker0,lo", None),
            ("^=ib", None),
            ("ib", None),
            ("eth,ib", None),
            ("=ib0", None),
            ("=ib0:1", None),
            ("", None),
            ("^ib", "NCCL_CONF"),
            ("^docker0,ib0", "NCCL_CONF"),
            ("^=ib0", "NCCL_CONF"),
            ("=ib", "NCCL_CONF"),
            ("eno1,eth", "NCCL_CONF"),
        )
    },
    "harmless nccl file": (node(2, nccl_files={"/etc/nccl.conf": "NCCL_DEBUG=INFO\n"}), None),
    "clock ahead": (node(2, time={"begun": 190, "ended": 191, "sent": 100, "received": 101}), "CLOCK_SKEWED"),
    "clock behind": (node(2, time={"begun": 95, "ended": 96, "sent": 100, "received": 101}), "CLOCK_OFFSET"),
    "slow round trip": (node(2, time={"begun": 104, "ended": 105, "sent": 100, "received": 160}), None),
}


@pytest.mark.parametrize("case", CASES)
def test_one_odd_node_is_named(case):
    facts, code = CASES[case]

    assert found(make([node(1), facts, node(3)])) == ([(code, "n2")] if code else [])


def test_mtu():
    facts = node(2)
    facts["interfaces"] = [*facts["interfaces"][:3], interface("ib0", "198.51.100.2", mtu=1500)]

    assert found(make([node(1), facts, node(3)])) == [("MTU_DIFFERS", "n2")]


def test_a_holder_of_gpus_is_described():
    holder = {"pid": 7, "user": "ada", "command": "python3", "age_seconds": 7300.0, "run_id": "r1", "gpus": [0]}
    outcome = make([node(1), changed(2, "gpus", "holders", [holder])])

    assert outcome.problems[0]["message"] == "GPUs in use for 2 h by process 7 (python3, user ada, run r1)"


@pytest.mark.parametrize(
    ("counts", "request_", "expected"),
    [
        ((8, 8, 7), {}, [("GPU_COUNT_DIFFERS", "n3")]),
        ((8, 8, 7), {"gpus": "min"}, []),
        ((8, 8, 0), {"gpus": "min"}, [("GPU_COUNT_DIFFERS", "n3")]),
        ((8, 8, 7), {"nproc_per_node": "8"}, [("GPU_TOO_FEW", "n3")]),
        ((8, 8, 7), {"nproc_per_node": "4"}, []),
        ((0, 0, 0), {}, [("NO_GPU", None)]),
        ((0, 0, 0), {"nproc_per_node": "gpu"}, [("GPU_MISSING", f"n{n}") for n in (1, 2, 3)]),
        ((0, 0, 0), {"nproc_per_node": "2"}, []),
        ((4, 4, 4), {"nproc_per_node": "8"}, [("GPU_TOO_FEW", f"n{n}") for n in (1, 2, 3)]),
        ((4, 0, 4), {"nproc_per_node": "4"}, [("GPU_TOO_FEW", "n2")]),
        ((8, 7, 8), {"slots": (8, 8, 8)}, [("GPU_TOO_FEW", "n2")]),
        ((7, 7, 7), {"slots": (8, 8, 8)}, [("GPU_TOO_FEW", f"n{n}") for n in (1, 2, 3)]),
        ((0, 0, 0), {"slots": (8, 8, 8)}, []),
        ((8, 8, 8), {"slots": (8, 8, 8), "nproc_per_node": "9"}, [("GPU_TOO_FEW", f"n{n}") for n in (1, 2, 3)]),
    ],
)
def test_numbers_of_gpus(counts, request_, expected):
    facts = [node(n, gpus={"vendor": None, "count": count}) for n, count in enumerate(counts, 1)]

    assert found(make(facts, **request_)) == expected


def gpu_facts(**more):
    return {**node(2)["gpus"], **more}


@pytest.mark.parametrize(
    ("gpus", "expected", "says"),
    [
        (gpu_facts(vendor=None, count=0, models=[], driver=None, note="nvidia-smi: exit code 9: has failed"),
         [("GPU_TOOL_FAILED", "n2")], "has failed"),
        (gpu_facts(dead=["0000:18:00.0 (H100)"], count=7, models=["MI300X"] * 7),
         [("GPU_COUNT_DIFFERS", "n2"), ("GPU_MODEL_DIFFERS", "n2"), ("GPU_DEAD", "n2")], "0000:18:00.0"),
        (gpu_facts(denied=[{"path": "/dev/kfd", "group": "render"}]), [("GPU_FORBIDDEN", "n2")], "no permission to open /dev/kfd"),
        (gpu_facts(denied=[{"path": "/dev/kfd", "group": None}]), [("GPU_FORBIDDEN", "n2")], "/dev/kfd is missing"),
        (gpu_facts(models=["A"] * 4 + ["B"] * 4), [("GPU_MODEL_DIFFERS", "n2"), ("GPU_MIXED", "n2")], "4 × A, 4 × B"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_node_s_gpus(gpus, expected, says):
    outcome = make([node(1), node(2, gpus=gpus), node(3)])

    assert sorted(found(outcome)) == sorted(expected)
    assert any(says in entry["message"] for entry in outcome.problems + outcome.warnings)


def test_the_group_that_may_open_a_device_is_in_the_remedy():
    outcome = make([node(1, gpus=gpu_facts(denied=[{"path": "/dev/kfd", "group": "render"}]))])

    assert outcome.problems[0]["remedy"] == "add the user to group render, and log in again"


def test_a_tool_that_fails_everywhere_is_not_no_gpu():
    gpus = gpu_facts(vendor=None, count=0, models=[], note="nvidia-smi: exit code 9")

    for request in ({}, {"nproc_per_node": "gpu"}, {"nproc_per_node": "2"}, {"gpus": "min"}):
        assert found(make([node(1, gpus=gpus), node(2, gpus=gpus)], **request)) == [
            ("GPU_TOOL_FAILED", "n1"),
            ("GPU_TOOL_FAILED", "n2"),
        ]


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("/usr/lib/xorg/Xorg vt2 -displayfd 3", "GPU_DISPLAY"),
        ("/usr/bin/gnome-shell", "GPU_DISPLAY"),
        ("/usr/bin/Xwayland :0 -rootless", "GPU_DISPLAY"),
        ("kwin_wayland", "GPU_DISPLAY"),
        ("/usr/bin/sddm-greeter --socket x", "GPU_DISPLAY"),
        ("nvidia-persistenced --verbose", "GPU_DISPLAY"),
        ("nvidia-persiste", "GPU_DISPLAY"),
        ("nv-hostengine -n", "GPU_DISPLAY"),
        ("python3 Xorg", "GPU_BUSY"),
        ("/home/ada/train", "GPU_BUSY"),
        ("", "GPU_BUSY"),
    ],
)
def test_what_only_draws_or_watches_is_a_warning(command, code):
    holder = {"pid": 7, "user": "ada", "command": command, "age_seconds": None, "run_id": None, "gpus": [0]}

    assert found(make([node(1, gpus=gpu_facts(holders=[holder]))])) == [(code, "n1")]


def test_a_skipped_check_says_nothing_and_the_others_do():
    facts = [node(1), node(2, locked_by="x", names=["127.0.1.1"])]

    assert found(make(facts, skip=("machine",))) == [("NAME_IS_LOOPBACK", "n2")]
    assert found(make(facts, only=("machine",))) == [("NODE_BUSY", "n2")]


def test_a_skipped_check_still_chooses():
    port = {"number": 29500, "error": "EADDRINUSE", "free": 40000, "holder": None}
    facts = [node(1, port=port), changed(2, "files", "entry_exists", False)]
    outcome = make(facts, skip=("port", "entry"))

    assert found(outcome) == []
    assert outcome.plan["master_port"] == 29500


def test_what_a_launch_cannot_do_without_is_never_skipped():
    facts = [node(1), node(2, ifconfig=None)]

    assert found(make(facts, only=("gpus",))) == [("NET_TOOLS_MISSING", "n2")]


def test_a_fingerprint_sums_a_node_up():
    found = make([node(1), node(2)]).fingerprints["n2"]

    assert (found["torch"], found["rocm"], found["gpu_models"]) == ("2.13.0", "7.1", "8 × MI300X")
    assert (found["clock_offset_seconds"], found["clock_uncertainty_seconds"]) == (0.0, 0.1)


def test_a_node_s_clock_is_known_best_by_the_way_of_its_answer():
    slow = {"begun": 108.0, "ended": 108.1, "sent": 99.9, "received": 107.6}

    assert [entry["clock_offset"] for entry in make([node(1), node(2, time=slow)]).plan["nodes"]] == [-0.1, 0.5]


def test_every_code_of_the_catalog_is_there_once_and_errors_say_what_to_do():
    codes = [finding.code for check in catalog.CHECKS for finding in check.findings]

    assert len(codes) == len(set(codes))
    assert all(check.looks_at and check.cost for check in catalog.CHECKS)


FILES = sorted(set(Path(order.__file__).parent.glob("*.py")) - {Path(order.__file__)})


def test_every_row_of_the_catalogue_has_a_file_and_a_place_in_the_order():
    """The first row is about ways to nodes, which find its problems; the last one is judged after all others."""
    first, *rows, last = catalog.NAMES

    assert {path.stem for path in FILES} == {"__init__", *rows, last}
    assert sorted(check.name for check in order.CHECKS) == sorted(rows)
    assert (first, last) == ("reach", "proof")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_file_of_a_check_reports_nothing_of_another_one(path):
    codes = {node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)}
    named = {catalog.CHECK_OF[code] for code in codes if code in catalog.CHECK_OF}

    # The proof also shows what is wrong with the port and with names.
    assert named <= ({path.stem} if path.stem != "proof" else {"proof", "port", "names"})


@pytest.mark.parametrize(("seconds", "text"), [(5, "5 s"), (90, "1 min"), (7300, "2 h"), (200000, "2 d")])
def test_duration(seconds, text):
    assert gpus.duration(seconds) == text


@pytest.mark.parametrize(("number", "text"), [(5, "5 B"), (65536, "64 KiB"), (1 << 29, "512 MiB"), (3 << 30, "3 GiB")])
def test_size(number, text):
    assert limits.size(number) == text

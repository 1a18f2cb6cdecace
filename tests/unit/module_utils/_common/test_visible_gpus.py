# SPDX-License-Identifier: Apache-2.0
"""Which GPUs a job sees, by the variables that hide some, as tables after the vendors' documentation."""

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import visible_gpus
from ansible_collections.madctl.multinode.plugins.module_utils._plan import planner
from ansible_collections.madctl.multinode.plugins.module_utils._request.request import Request
from tests.hostile import mutated
from tests.unit.module_utils.healthy_facts import node

UUIDS = [f"GPU-{digit * 8}-0000" for digit in "abcdefgh"]


def gpus(vendor="nvidia", count=8, **more):
    models = [f"M{number}" for number in range(count)]
    return {"vendor": vendor, "count": count, "models": models, "driver": "1", "holders": [], **more}


def places(vendor="nvidia", uuids=None, **environment):
    found = visible_gpus.seen(gpus(vendor, uuids=uuids), environment)
    assert found["count"] == len(found["models"])
    return [int(model[1:]) for model in found["models"]]


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("0,1", [0, 1]),
        ("3,1", [3, 1]),
        (" 2 , 0 ", [2, 0]),
        ("", []),
        (" ", []),
        ("-1", []),
        ("0,-1,1", [0]),
        ("0,8,1", [0]),
        ("0,99999999999999,1", [0]),
        ("0,x,1", [0]),
        ("0,,1", [0]),
        ("NoDevFiles", []),
        ("none", []),
        ("1,1", []),
        ("0,1,9,9", [0, 1]),
        ("GPU-bbbbbbbb-0000", [1]),
        ("GPU-c", [2]),
        ("GPU-", []),
        ("GPU-none", []),
        ("GPU-a,GPU-none,GPU-b", [0]),
        ("GPU-a,GPU-a", []),
        ("\u0662", []),
        (",".join("01234567"), [0, 1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_nvidia(text, seen):
    assert places(uuids=UUIDS, CUDA_VISIBLE_DEVICES=text) == seen


def test_unknown_names_count():
    assert len(places(CUDA_VISIBLE_DEVICES="MIG-1/2/3,MIG-4,MIG-5")) == 3
    assert len(places(uuids=None, CUDA_VISIBLE_DEVICES="GPU-x,GPU-y")) == 2


@pytest.mark.parametrize(
    ("environment", "seen"),
    [
        ({"HIP_VISIBLE_DEVICES": "0,1"}, [0, 1]),
        ({"CUDA_VISIBLE_DEVICES": "2"}, [2]),
        ({"ROCR_VISIBLE_DEVICES": "4,5,6"}, [4, 5, 6]),
        ({"GPU_DEVICE_ORDINAL": "1,2"}, [1, 2]),
        ({"HIP_VISIBLE_DEVICES": "1", "CUDA_VISIBLE_DEVICES": "0,1,2"}, [1]),
        # The second counts among what the first leaves.
        ({"ROCR_VISIBLE_DEVICES": "4,5", "HIP_VISIBLE_DEVICES": "1"}, [5]),
        ({"ROCR_VISIBLE_DEVICES": "4,5", "HIP_VISIBLE_DEVICES": "4"}, []),
        ({"NVIDIA_VISIBLE_DEVICES": "0"}, [0, 1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_amd(environment, seen):
    assert places("amd", **environment) == seen


def test_variables_of_amd_hide_nothing_of_nvidia():
    assert len(places("nvidia", HIP_VISIBLE_DEVICES="0", ROCR_VISIBLE_DEVICES="0")) == 8


def test_only_holders_of_what_is_seen_matter():
    holders = [{"gpus": [0]}, {"gpus": [7, 2]}, {"gpus": []}]

    assert visible_gpus.seen(gpus(holders=holders), {"CUDA_VISIBLE_DEVICES": "2"})["holders"] == holders[1:]


@pytest.mark.parametrize("name", ["HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"])
def test_a_plan_counts_what_the_job_sees(name):
    given = Request(run_id="r", work=("a.py",), python="/opt/python", chdir="/job", env={name: "0,1"})
    bare = Request(run_id="r", work=("a.py",), python="/opt/python", chdir="/job")
    on_nodes = [node(number, visible={name: "0,1"}) for number in (1, 2)]

    assert [one["nproc_per_node"] for one in planner.make(given, ["a", "b"], [node(1), node(2)]).plan["nodes"]] == [
        2,
        2,
    ]
    assert [one["nproc_per_node"] for one in planner.make(bare, ["a", "b"], on_nodes).plan["nodes"]] == [2, 2]


def test_the_job_s_variables_win_over_the_node_s():
    wide = {"CUDA_VISIBLE_DEVICES": "0,1,2,3"}
    request = Request(run_id="r", work=("a.py",), python="/opt/python", chdir="/job", env=wide)
    facts = [node(number, visible={"CUDA_VISIBLE_DEVICES": "0"}) for number in (1, 2)]

    assert planner.make(request, ["a", "b"], facts).plan["world_size"] == 8


def test_a_node_that_hides_more_than_others_is_named():
    request = Request(run_id="r", work=("a.py",), python="/opt/python", chdir="/job")
    facts = [node(1), node(2, visible={"HIP_VISIBLE_DEVICES": "0"}), node(3)]
    found = planner.make(request, ["a", "b", "c"], facts).problems

    assert [(entry["code"], entry["host"]) for entry in found] == [("GPU_COUNT_DIFFERS", "b")]
    assert "HIP_VISIBLE_DEVICES" in found[0]["message"]


@pytest.mark.fuzz
def test_no_text_breaks_it(rounds):
    for data in mutated([b"0,1,2", b"GPU-aaaa,MIG-1", b"-1", b""], rounds):
        found = visible_gpus.seen(gpus(uuids=UUIDS), {"CUDA_VISIBLE_DEVICES": data.decode("utf-8", "surrogateescape")})
        assert 0 <= found["count"] == len(found["models"])

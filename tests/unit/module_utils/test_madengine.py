# SPDX-License-Identifier: Apache-2.0
"""madengine's context and command line, and the judgement of what nodes have."""

import ast

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils import _madengine
from tests.unit.module_utils.facts import node
from tests.unit.module_utils.test_plan import codes, make


@pytest.mark.parametrize(
    "text", ["{'a': 'x\\'y', 'b': None, 'c': True}", '{"a": "x\'y", "b": null, "c": true}'], ids=["python", "json"]
)
def test_a_context_is_python_or_json(text):
    assert _madengine.parse(text) == {"a": "x'y", "b": None, "c": True}


@pytest.mark.parametrize("text", ["", "{", "[1]", "'x'", "f()", "{" * 5000, "1 if True else 2"])
def test_what_is_no_mapping_is_refused(text):
    with pytest.raises(ValueError, match="no mapping"):
        _madengine.parse(text)


@pytest.mark.parametrize(
    ("text", "expected"), [("madengine 1.0.0", 1), ("CLI v2.1.0.dev3", 2), ("", None), (None, None), ("unknown", None)]
)
def test_versions(text, expected):
    assert _madengine.major(text) == expected


def test_the_users_values_win_but_for_ranks():
    own = {"x": 1, "multi_node_args": {"NNODES": 7, "MASTER_PORT": 6006}, "docker_env_vars": {"A": "b"}}
    merged = _madengine.context(own, {"NNODES": 2, "NODE_RANK": 1, "MASTER_PORT": 29500}, "r")

    assert merged == {
        "x": 1,
        "multi_node_args": {"NNODES": 2, "NODE_RANK": 1, "MASTER_PORT": 6006},
        "docker_env_vars": {"A": "b", "MADCTL_RUN_ID": "r"},
    }
    assert ast.literal_eval(repr(merged)) == merged
    assert [entry["code"] for entry in _madengine.overridden(own)] == ["CONTEXT_REPLACED", "CONTEXT_KEPT"]


def engine(**more):
    found = {
        "program": "/usr/bin/madengine",
        "version": "madengine 1.0.0",
        "broken": None,
        "runtime": "/usr/bin/docker",
    }
    return {**found, "trouble": None, "containers": [], "gpu_tool": "/usr/bin/rocm-smi", **more}


LEFT = {"name": "container_x", "created": "2026-01-01", "run_id": None}
OURS = {**LEFT, "run_id": "long-ago"}
CASES = {
    "all well": (engine(), {}, []),
    "none": (engine(program=None, version=None), {}, [("MADENGINE_MISSING", "n2")]),
    "broken": (engine(version=None, broken="No such file"), {}, [("MADENGINE_BROKEN", "n2")]),
    "hung": (None, {}, [("MADENGINE_HUNG", "n2")]),
    "another version": (engine(version="2.0"), {}, [("MADENGINE_MIXED", "n2")]),
    "no docker": (engine(runtime=None), {}, [("RUNTIME_MISSING", "n2")]),
    "docker refuses": (engine(trouble="permission denied"), {}, [("RUNTIME_UNUSABLE", "n2")]),
    "no tool": (engine(gpu_tool=None), {}, [("GPU_TOOL_MISSING", "n2")]),
    "left": (engine(containers=[LEFT]), {}, [("CONTAINER_LEFT", "n2")]),
    "left, not ours": (engine(containers=[LEFT]), {"replace_containers": ("",)}, [("CONTAINER_LEFT", "n2")]),
    "left, ours": (engine(containers=[OURS]), {"replace_containers": ("",)}, []),
    "left, named": (engine(containers=[LEFT]), {"replace_containers": ("container_x",)}, []),
    "skipped": (engine(runtime=None, gpu_tool=None), {"skip": ("madengine",)}, []),
    "mirror without storage": (engine(), {"force_mirror_local": "/nfs/x"}, [("MIRROR_UNPROVEN", None)]),
}


@pytest.mark.parametrize("case", CASES)
def test_what_a_node_needs(case):
    found, request, expected = CASES[case]
    facts = [node(1, madengine=engine()), node(2, madengine=found), node(3, madengine=engine())]

    assert codes(make(facts, shape="model", work=(), tags=("m",), **request)) == expected


def test_the_shares_of_two_nodes():
    plan = make(
        [node(1, madengine=engine()), node(2, madengine=engine())], shape="model", work=("-v",), tags=("m",)
    ).plan
    argv = plan["nodes"][1]["model"]["argv"]

    assert plan["nodes"][1]["argv"] == ["/usr/bin/python3", "-I", "-S", "/var/tmp/madctl-0/r/bin/_model.py"]
    assert (argv[:5], argv[6:]) == (
        ["/usr/bin/madengine", "run", "--tags", "m", "--additional-context"],
        ["--live-output", "--timeout", "0", "-v"],
    )
    assert ast.literal_eval(argv[5])["multi_node_args"] == {
        "RUNNER": "torchrun",
        "MAD_RUNTIME_NGPUS": 8,
        "NNODES": 2,
        "NODE_RANK": 1,
        "MASTER_ADDR": "198.51.100.1",
        "MASTER_PORT": 29500,
        "HOST_LIST": "",
        "NCCL_SOCKET_IFNAME": "ib0",
        "GLOO_SOCKET_IFNAME": "ib0",
    }
    assert plan["nodes"][1]["env"]["MAD_COLLECT_METRICS"] == "false"
    assert "MAD_COLLECT_METRICS" not in plan["nodes"][0]["env"]

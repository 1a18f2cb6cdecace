# SPDX-License-Identifier: Apache-2.0
"""Types that nothing checks at run time are compared with what is written."""

import json
import typing

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._arm import arming
from ansible_collections.madctl.multinode.plugins.module_utils._common import (
    fact_answers,
    fact_shapes,
    runners,
    shapes,
)
from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import problem
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import bundles
from ansible_collections.madctl.multinode.plugins.module_utils._plan import planner, spare_nodes
from ansible_collections.madctl.multinode.plugins.module_utils._plan.runners import order
from ansible_collections.madctl.multinode.plugins.module_utils._probe import node_facts
from ansible_collections.madctl.multinode.plugins.module_utils._request.request import Request
from tests.unit.module_utils import healthy_facts


def typed(kind, path=""):
    """Yield the path of every field of a TypedDict and of its parts."""
    if typing.is_typeddict(kind):
        for name, hint in typing.get_type_hints(kind).items():
            yield path + name
            yield from typed(hint, f"{path}{name}.")
    for inner in typing.get_args(kind):
        yield from typed(inner, path)


def without(data, *names):
    return {key: value for key, value in data.items() if key not in names}


def test_every_field_of_a_fact_is_checked_where_it_arrives():
    assert {"gpus.holders.pid", "interfaces.addresses.prefix", "mounts.hung.wait"} <= {*typed(fact_shapes.Facts)}
    for kind in vars(fact_shapes).values():
        for name, shape in fact_answers._shapes_of(kind).items() if typing.is_typeddict(kind) else ():
            assert not shape(object()) or name == "trouble", f"{kind.__name__}.{name}"


def test_facts_are_what_the_probe_returns():
    asked = {name: entry.get("default") for name, entry in node_facts.ARGUMENTS.items()}
    asked.update(shape="model", work=[])
    real = node_facts.collect(asked)

    assert set(real) == set(fact_shapes.Facts.__annotations__)


def plan_of(**more):
    request = Request("r", ("train.py",), python="/opt/python", chdir="/work", **more)
    each = [healthy_facts.node(1), healthy_facts.node(2)]
    outcome = planner.make(request, ["a", "b"], each)
    assert not outcome.problems
    kept = spare_nodes.keep(request, spare_nodes.Choice(["a", "b"], outcome, [], []), list(zip("ab", each)), 1)
    return {**outcome.plan, "spares": [], "restart": kept}


def test_a_plan_has_every_field_of_its_type():
    plan = plan_of()

    assert set(plan) == set(shapes.Plan.__annotations__)
    assert set(plan["restart"]) == set(shapes.Restart.__annotations__)
    for node in plan["nodes"]:
        assert set(node) == set(shapes.NodePlan.__annotations__)
    assert set(shapes.Proof.__annotations__) == set().union(*plan["proof"].values())


def test_the_work_of_a_model_has_every_field_of_its_type():
    each = [healthy_facts.node(1), healthy_facts.node(2)]
    for fact in each:
        fact["madengine"] = {
            "program": "/m",
            "version": "2.0",
            "silent": False,
            "broken": None,
            "runtime": "/d",
            "trouble": None,
        }
        fact["madengine"].update(gpu_tool="/g", containers=[])
    outcome = planner.make(Request("r", (), shape="model", tags=("a",), chdir="/work"), ["a", "b"], each)

    assert outcome.plan is not None, outcome.problems
    for node in outcome.plan["nodes"]:
        assert set(node["model"]) == set(shapes.ModelWork.__annotations__)


@pytest.mark.parametrize("runner", runners.names())
def test_a_spec_has_every_field_of_its_type(runner):
    plan = {**plan_of(), "runner": runner}
    about = {"hosts": ["a", "b"], "addresses": ["198.51.100.1", "198.51.100.2"]}
    given = {
        "timeout": None,
        "log_cap": 1,
        "in_step": False,
        "samples": None,
        "user_env": {},
        "setup": None,
        "origin": "r",
        "programs": {},
        "digest": "x",
        "tree": None,
        "trees": None,
        "about": about,
    }
    shared = {key: plan[key] for key in ("run_id", "lock", "beacon", "start_timeout", "grace")}
    own = order.on_node(plan, plan["nodes"][0], "00")
    request = {**plan["nodes"][0], **own, **shared, **given, "proof": plan["proof"]["a"]}
    spec = arming._spec(request, "/base", "/base/bin-x", 0o022)

    assert set(request) == set(shapes.ArmingRequest.__annotations__)
    assert set(json.loads(json.dumps(spec))) == set(shapes.Spec.__annotations__)
    assert (spec["mpi"] is not None) == bool(runners.ranks_by(runner).daemons)
    if spec["mpi"]:
        assert set(spec["mpi"]) == set(shapes.MpiSpec.__annotations__)


def test_a_problem_has_the_fields_of_its_type():
    evidence = set(shapes._Evidence.__annotations__)

    assert set(problem("NO_GPU", None, "none")) == set(shapes.Problem.__annotations__) - evidence


@pytest.mark.parametrize("module", ["_probe.node_facts", "_arm.arming", "_arm.prove", "_supervise.supervisor"])
def test_nodes_get_no_types(module):
    assert not {"_common.shapes", "_common.fact_shapes"} & set(bundles.closure(module))

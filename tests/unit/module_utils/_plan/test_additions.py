# SPDX-License-Identifier: Apache-2.0
"""A check and a runner are added with a row and a file each; plans, armed nodes and the verdict follow from them."""

import json
from dataclasses import asdict

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._arm import arming
from ansible_collections.madctl.multinode.plugins.module_utils._common import catalog, codes, events, ranks, runners
from ansible_collections.madctl.multinode.plugins.module_utils._follow import run_outcome, verdict
from ansible_collections.madctl.multinode.plugins.module_utils._plan import judgement, planner
from ansible_collections.madctl.multinode.plugins.module_utils._plan.checks import order as check_order
from ansible_collections.madctl.multinode.plugins.module_utils._plan.runners import order
from ansible_collections.madctl.multinode.plugins.module_utils._plan.starter import Starter
from ansible_collections.madctl.multinode.plugins.module_utils._request import kinds, variables
from ansible_collections.madctl.multinode.plugins.module_utils._request.request import Request
from madctl.cli import build_parser
from tests.unit.module_utils.healthy_facts import node

HOSTS = ["n1", "n2"]

# -- a check ----------------------------------------------------------------------------------------

# The row of the catalogue.
PAGES = catalog.Check(
    "pages",
    "huge pages of each node",
    "one file",
    (catalog.Finding(catalog.ERROR, "PAGES_FEW", "Too few huge pages.", "reserve some", needs_all=True),),
)


# The file in ``_plan/checks``.
def judge(case, _):
    return [codes.problem("PAGES_FEW", host, "no huge pages") for host, facts in case.nodes if not facts.get("pages")]


@pytest.fixture
def check(monkeypatch):
    # As the catalogue reads its own rows.
    (finding,) = PAGES.findings
    monkeypatch.setattr(catalog, "CHECKS", (*catalog.CHECKS, PAGES))
    monkeypatch.setattr(catalog, "NAMES", (*catalog.NAMES, PAGES.name))
    monkeypatch.setattr(catalog, "SKIPPABLE", catalog.SKIPPABLE | {PAGES.name})
    monkeypatch.setattr(catalog, "NEEDS_ALL", catalog.NEEDS_ALL | {finding.code})
    monkeypatch.setitem(catalog._FINDINGS, finding.code, finding)
    monkeypatch.setitem(catalog.CHECK_OF, finding.code, PAGES.name)
    monkeypatch.setattr(check_order, "CHECKS", (*check_order.CHECKS, check_order.Check("pages", judge)))


def request(**more):
    return Request("r", ("train.py",), python="/opt/python", chdir="/job", **more)


@pytest.mark.usefixtures("check")
def test_a_check_is_judged_skipped_and_left_out_where_it_cannot_be_judged():
    facts = [node(1, pages=1), node(2)]
    (found,) = planner.make(request(), HOSTS, facts).problems
    skipped = judgement.judge(request(skip=("pages",)), list(zip(HOSTS, facts)), [])
    unsure = judgement.judge(request(), [("n0", None), *zip(HOSTS, facts)], [codes.problem("PROBE_FAILED", "n0", "x")])

    assert (found["code"], found["host"], found["remedy"]) == ("PAGES_FEW", "n2", "reserve some")
    assert (skipped.problems, "pages" in skipped.left_out) == ([], True)
    assert [entry["code"] for entry in unsure.problems] == ["PROBE_FAILED"]


# -- a runner ---------------------------------------------------------------------------------------

# The row of ``_common/runners``.
FANCY = runners.Runner("fancy", "script", "fancyrun", "RANK_FAILED", takes_unequal=True, options=("--fancy-args",))


# The file in ``_plan/runners``.
def write(launch, parts):
    for rank, part in enumerate(parts):
        part.argv = ["fancyrun", str(rank), launch.address, *launch.case.request.work]
        part.prefix = part.argv[:3]
        part.env["FANCY_PORT"] = str(launch.port)


def files(plan, own, secret):
    return {"fancy.json": json.dumps([own["node_rank"], plan["world_size"], secret])}


STARTER = Starter("fancy", write, files, after="container_removal")


@pytest.fixture
def runner(monkeypatch):
    monkeypatch.setattr(runners, "ROWS", (*runners.ROWS, FANCY))
    monkeypatch.setattr(order, "STARTERS", (*order.STARTERS, STARTER))


def planned(**more):
    outcome = planner.make(request(runner="fancy", slots=(1, 2), **more), HOSTS, [node(1), node(2)])
    assert outcome.problems == []
    return outcome.plan


@pytest.mark.usefixtures("runner")
def test_a_runner_is_planned_for_its_scripts_and_for_commands():
    plan, command = planned(), planned(shape=runners.shapes()[1])
    first, second = plan["nodes"]

    assert second["argv"] == ["fancyrun", "1", "198.51.100.1", "train.py"]
    assert (second["env"]["FANCY_PORT"], second["env"]["WORLD_SIZE"]) == ("29500", "3")
    assert first["env"]["MAD_MULTI_NODE_RUNNER"] == "fancyrun 0 198.51.100.1"
    assert command["nodes"][1]["argv"] == ["train.py"]
    assert command["nodes"][1]["env"]["MAD_MULTI_NODE_RUNNER"] == "fancyrun 1 198.51.100.1"


@pytest.mark.usefixtures("runner")
def test_a_runner_says_what_its_nodes_need():
    plan = planned()
    own = order.on_node(plan, plan["nodes"][1], "secret")
    asked = {
        "run_id": "r",
        "origin": "r",
        "lock": False,
        "beacon": None,
        "log_cap": 1,
        "timeout": None,
        "user_env": {},
        "setup": None,
        "in_step": False,
        "samples": None,
    }
    asked.update(own, start_timeout=1.0, grace=1.0, about={}, proof=plan["proof"]["n2"])
    spec = arming._spec({**plan["nodes"][1], **asked}, "/base", "/base/bin", 0o022)

    assert own["files"] == {"fancy.json": '[1, 3, "secret"]'}
    assert spec["argv"][0] == "fancyrun"
    assert spec["mpi"] is None
    assert spec["after"][-2:] == ["container_removal", "r"]


@pytest.mark.usefixtures("runner")
def test_the_end_of_a_runner_is_told_in_its_words():
    plan = planned()
    runs = [run_outcome.NodeRun(host, rank) for rank, host in enumerate(HOSTS)]
    ended = {"event": events.RUNNER_EXIT, "exit_code": 3, "signal": None}
    found, later = run_outcome.failure(runs[1], runs, plan, ended, 0.0)
    _, summary = run_outcome.judge(runs, plan, None)

    assert (found["code"], found["message"], later) == ("RANK_FAILED", "fancyrun failed: exit code 3", 0.0)
    assert (ranks.of_nodes(plan), summary["ranks_joined"]) == ([None, None], 0)
    record = {"outcome": "exited", "exit_code": 0, "stopped": False, "ranks_joined": 1}
    nodes = [{"host": host} for host in ("n1", "n2")]
    answers = dict.fromkeys(("n1", "n2"), {"state": "exited", "exit": record})
    assert verdict.of_nodes({**plan, "nodes": nodes}, answers).status == "failed"


@pytest.mark.usefixtures("runner")
def test_a_runner_is_an_option(monkeypatch):
    # As the table of options reads the names when it is imported.
    row = variables.BY_OPTION["--runner"]._replace(kind=kinds.choice(*runners.names()))
    monkeypatch.setitem(variables.BY_OPTION, "--runner", row)
    options = build_parser().parse_args(["check", "--hosts", "n1", "--runner", "fancy"])

    assert options.runner == "fancy"
    assert asdict(request(runner=options.runner))["runner"] == "fancy"

# SPDX-License-Identifier: Apache-2.0
"""Which nodes are chosen from more than are needed, and again after a failure."""

from dataclasses import replace

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import problem
from ansible_collections.madctl.multinode.plugins.module_utils._plan import planner, spare_nodes
from ansible_collections.madctl.multinode.plugins.module_utils._request.request import Request
from tests.unit.module_utils import healthy_facts

REQUEST = Request(
    "20260101-000000-0123abcd",
    ("train.py",),
    python="/opt/python",
    chdir="/work",
    slots=(None,) * 4,
    env={"T": "secret"},
)
UNREACHED = problem("HOST_UNREACHABLE", "b", "it does not answer")


def nodes(without_script=(), unreached=()):
    found = []
    for number, host in enumerate("abcd", 1):
        fact = healthy_facts.node(number)
        fact["files"]["entry_exists"] = host not in without_script
        found.append((host, None if host in unreached else fact))
    return found


def choose(wanted, without_script=(), unreached=()):
    failed = [dict(UNREACHED, host=host) for host in unreached]
    return spare_nodes.choose(REQUEST, nodes(without_script, unreached), failed, wanted)


CASES = [
    # wanted, without the script, not reached; chosen, spares, left out with the replacement
    (2, "", "", "ab", "cd", {}),
    (2, "", "b", "ac", "d", {"b": "c"}),
    (2, "a", "b", "cd", "", {"b": "c", "a": "d"}),
    (2, "", "d", "ab", "c", {"d": None}),
    (3, "a", "", "bcd", "", {"a": "d"}),
    (1, "abc", "", "d", "", {"a": "d", "b": None, "c": None}),
]


@pytest.mark.parametrize(("wanted", "without_script", "unreached", "taken", "spares", "left_out"), CASES)
def test_the_first_good_nodes_are_taken_in_their_order(wanted, without_script, unreached, taken, spares, left_out):
    choice = choose(wanted, without_script, unreached)

    assert (choice.hosts, choice.spares, choice.outcome.problems) == (list(taken), list(spares), [])
    assert [node["host"] for node in choice.outcome.plan["nodes"]] == list(taken)
    said = {entry["host"]: entry["message"] for entry in choice.left_out}
    assert said.keys() == left_out.keys()
    for host, instead in left_out.items():
        assert said[host].endswith("%s replaces it" % instead) == (instead is not None)


def test_too_few_good_nodes_give_every_reason_and_no_plan():
    choice = choose(3, without_script="ac", unreached="b")

    assert choice.outcome.plan is None
    assert {(entry["host"], entry["code"]) for entry in choice.outcome.problems} >= {
        ("a", "ENTRY_MISSING"),
        ("b", "HOST_UNREACHABLE"),
        ("c", "ENTRY_MISSING"),
    }


def started(wanted=2, restarts=2):
    choice = choose(wanted)
    kept = spare_nodes.keep(REQUEST, choice, nodes(), restarts)
    return {**choice.outcome.plan, "spares": choice.spares, "restart": kept}


def test_a_failed_job_is_planned_again_on_the_same_nodes_under_another_id():
    plan, replaced = spare_nodes.again(started(), {"a": "RANK_FAILED"}, 1)

    assert ([node["host"] for node in plan["nodes"]], replaced) == (["a", "b"], {})
    assert (plan["run_id"], plan["spares"]) == (REQUEST.run_id + ".1", ["c", "d"])
    assert plan["nodes"][0]["run_dir"].endswith(REQUEST.run_id + ".1")


def test_a_lost_node_gives_its_rank_to_the_next_spare():
    first, replaced = spare_nodes.again(started(), {"a": "NODE_LOST"}, 1)
    second, also = spare_nodes.again(first, {"b": "NODE_REBOOTED"}, 2)

    assert (replaced, also) == ({"a": "c"}, {"b": "d"})
    assert [node["host"] for node in second["nodes"]] == ["c", "d"]
    assert (second["run_id"], second["spares"]) == (REQUEST.run_id + ".2", [])
    assert second["master_addr"] == second["nodes"][0]["address"]


@pytest.mark.parametrize(("run_id", "attempt"), [("v1.2", 0), ("v1.2.3", 3), ("v1.03.3", 3)])
def test_every_start_has_a_number_which_ranks_are_told(run_id, attempt):
    request = replace(REQUEST, run_id=run_id, attempt=attempt, slots=(None,) * 2)
    outcome = planner.make(request, ["a", "b"], [fact for _, fact in nodes()[:2]])
    kept = spare_nodes.keep(request, spare_nodes.Choice(["a", "b"], outcome, [], []), nodes()[:2], 2)
    plans = [{**outcome.plan, "spares": [], "restart": kept}]
    plans += [spare_nodes.again(plans[0], {"a": "RANK_FAILED"}, number)[0] for number in (1, 2)]
    told = [{name: node["env"][name] for name in NUMBERS} for plan in plans for node in plan["nodes"]]

    name = run_id[:-2] if attempt else run_id
    assert [plan["run_id"] for plan in plans] == [run_id, f"{name}.{attempt + 1}", f"{name}.{attempt + 2}"]
    assert told == [dict.fromkeys(NUMBERS, str(attempt + number)) for number in (0, 0, 1, 1, 2, 2)]


NUMBERS = ("MADCTL_ATTEMPT", "MADCTL_RESTART_COUNT")


@pytest.mark.parametrize(
    ("plan", "failures", "number"),
    [
        (started(restarts=1), {"a": "RANK_FAILED"}, 2),
        (started(wanted=4), {"a": "NODE_LOST"}, 1),
        ({**started(), "restart": None}, {"a": "RANK_FAILED"}, 1),
    ],
    ids=["no more restarts", "no spare", "never asked for"],
)
def test_when_there_is_nothing_left_to_try(plan, failures, number):
    assert spare_nodes.again(plan, failures, number) is None


def test_what_is_kept_for_a_restart_holds_no_value_of_the_user():
    assert "secret" not in str(started()["restart"])


def test_a_restart_sees_the_gpus_that_the_run_saw():
    request = replace(REQUEST, env={"T": "secret", "HIP_VISIBLE_DEVICES": "0,1"}, slots=(None,) * 2)
    outcome = planner.make(request, ["a", "b"], [fact for _, fact in nodes()[:2]])
    kept = spare_nodes.keep(request, spare_nodes.Choice(["a", "b"], outcome, [], []), nodes()[:2], 1)
    again, _ = spare_nodes.again({**outcome.plan, "spares": [], "restart": kept}, {"a": "RANK_FAILED"}, 1)

    assert outcome.plan["world_size"] == again["world_size"] == 4


MOUNT = {
    "path": "/nfs",
    "real": "/nfs",
    "point": "/nfs",
    "root": "/",
    "exists": True,
    "hung": None,
    "error": None,
    "options": ["rw"],
    "super_options": ["rw"],
    "read_only": False,
    "janitor": 1,
    "nonce": "x",
}
CLIENT = {**MOUNT, "fstype": "nfs4", "source": "fs:/a", "file": "f"}
SERVER = {**MOUNT, "fstype": "ext4", "source": "/dev/sdb1", "file": "g"}


def mounted(*mounts):
    return [(host, {**fact, "mounts": [own]}) for (host, fact), own in zip(nodes(), mounts)]


@pytest.mark.parametrize(("mounts", "taken"), [((SERVER, CLIENT, CLIENT), "bc"), ((SERVER, SERVER, SERVER), "ab")])
def test_a_node_with_a_local_directory_is_replaced_where_others_have_a_mount(mounts, taken):
    choice = spare_nodes.choose(REQUEST, mounted(*mounts), [], 2)

    assert (choice.hosts, choice.outcome.problems) == (list(taken), [])


def test_a_file_server_that_was_proven_runs_again_and_a_spare_that_was_not_does_not():
    each = mounted(SERVER, CLIENT, SERVER)
    request = replace(REQUEST, slots=(None,) * 3)
    outcome = planner.make(request, ["a", "b"], [fact for _, fact in each[:2]])
    kept = spare_nodes.keep(request, spare_nodes.Choice(["a", "b"], outcome, [], ["c"]), each, 1)
    plan = {**outcome.plan, "spares": ["c"], "restart": kept}

    assert spare_nodes.again(plan, {"b": "RANK_FAILED"}, 1) is not None
    assert spare_nodes.again(plan, {"b": "NODE_LOST"}, 1) is None

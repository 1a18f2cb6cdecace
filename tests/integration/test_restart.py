# SPDX-License-Identifier: Apache-2.0
"""Restarted runs, and spare nodes."""

import re
import uuid

import pytest

from madctl.lab import power
from tests.integration.command import JOBS, madctl
from tests.integration.launchers import follow, read_until

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("own_records", "hosts_as_before")]


def test_a_job_that_fails_is_started_anew_on_all_nodes(launch, on):
    mark = f"/tmp/mark-{uuid.uuid4().hex[:8]}"
    try:
        done = launch("--max-restarts", "2", "--", "second.py", mark)
    finally:
        on("node2", "rm", "-f", mark)

    assert done.code == 0, done.err
    assert done.json["data"]["ranks_joined"] == 2
    [restart] = done.json["data"]["restarts"]
    assert (restart["after"]["code"], restart["after"]["exit_code"], restart["replaced"]) == ("RANK_FAILED", 3, {})
    assert "restart 1 of 2: attempt 1 failed: node2 rank 1: exit code 3\n" in done.err
    assert re.search(r"^done    succeeded after \d.* on 2 nodes, attempt 2, 2 of 2 ranks joined$", done.err, re.M)
    spent = done.json["data"]["duration_seconds"]
    again = madctl("attach", "--output", "json").json["data"]
    assert again["attempts"] == 2 and abs(again["duration_seconds"] - spent) < spent / 2
    assert re.match(r"succeeded after \d.*, attempt 2\n", madctl("status").out)
    assert done.err.count("this time") == 2
    assert madctl("attach", "--output", "json").err.count("this time") == 2


def test_a_job_that_fails_every_time_fails_in_the_end(launch):
    done = launch("--max-restarts", "1", "--", "fail.py", "1")

    assert (done.code, done.codes, len(done.json["data"]["restarts"])) == (6, ["RANK_FAILED"], 1)


def test_a_spare_takes_the_place_of_a_node_that_fails_a_check(launch, on):
    on("node2", "ip", "link", "set", "eno1", "down")
    try:
        done = launch("--nnodes", "2", "--", "report.py", hosts="node1,node2,node3")
    finally:
        on("node2", "ip", "link", "set", "eno1", "up")

    assert done.code == 0, done.err
    assert [node["host"] for node in done.json["data"]["nodes"]] == ["node1", "node3"]
    [warning] = [entry for entry in done.json["warnings"] if entry["code"] == "NODE_REPLACED"]
    assert warning["host"] == "node2"
    assert warning["message"].endswith("node3 replaces it")


def test_too_few_good_nodes_are_refused_with_every_reason(launch, on):
    on("node2", "ip", "link", "set", "eno1", "down")
    try:
        done = launch("--nnodes", "3", "--", "missing.py", hosts="node1,node2,node3")
    finally:
        on("node2", "ip", "link", "set", "eno1", "up")

    assert done.code == 4, done.err
    assert {entry["host"] for entry in done.json["errors"]} == {"node1", "node2", "node3"}


def test_a_spare_takes_the_place_of_a_node_that_is_lost(own_lab):  # noqa: F811
    options = ("--nnodes", "2", "--max-restarts", "1", "--output", "json")
    process = follow(own_lab, *options, "--", "second.py", "/dev/null", marker=None)
    read_until(process, "joined")
    power.power_off(own_lab.host("node2"))
    output, _ = process.communicate(timeout=240)

    assert process.returncode == 0, output
    assert "node3 replaces node2" in output
    assert output.count("this time") == 2
    status = madctl("status", "--output", "json").json["data"]["nodes"]
    assert [(node["host"], node["state"]) for node in status] == [("node1", "exited"), ("node3", "exited")]


def test_who_lets_go_cannot_restart():
    done = madctl("launch", "--hosts", "a,b", "--detach", "--max-restarts", "1", "--", "x.py", cwd=JOBS)

    assert (done.code, "--max-restarts needs a process that follows" in done.err) == (2, True)


def test_spares_are_left_alone_by_what_is_asked_of_the_run(launch):
    done = launch("--nnodes", "2", "--detach", "--", "wait.py", hosts="node1,node2,node3")
    assert done.code == 0, done.err
    status = madctl("status", "--output", "json").json["data"]["nodes"]
    stopped = madctl("stop", "--force")

    assert [node["host"] for node in status] == ["node1", "node2"]
    assert (stopped.code, "nothing is left on node[1-2]" in stopped.out) == (0, True), stopped.err

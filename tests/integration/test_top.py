# SPDX-License-Identifier: Apache-2.0
"""What a run uses, while it continues and after its end, on real hosts."""

import json
import os
import sys

import pytest

from tests.integration.command import madctl, wait_for
from tests.integration.host_processes import on_host

pytestmark = pytest.mark.lab


def ranks_kept(lab, node):
    """Return the ranks in the last sample that a node keeps."""
    text = on_host(lab, node["host"], "cat", f"{node['run_dir']}/samples.json", check=False).stdout
    return json.loads(text)["samples"][-1]["ranks"] if text else {}


@pytest.fixture(scope="module")
def lagging(lab, tmp_path_factory):
    """A run of six ranks, of which one spins and one is silent; what top said while it went on, and after its end."""
    state = {"XDG_STATE_HOME": str(tmp_path_factory.mktemp("state"))}
    options = ["--lab", lab.name, "--hosts", "node1,node2", "--nproc-per-node", "3", "--python", sys.executable]
    done = madctl("launch", *options, "--output", "json", "--detach", "--", "lag.py", env=state)
    assert done.code == 0, done.err
    seen = []

    def top(*words):
        found = madctl("top", *words, env=state)
        assert found.code == 0, found.err
        return found

    def all_is_seen():
        seen.append(top("--once", "--output", "json"))
        ranks = {rank: load for node in seen[-1].json["data"]["nodes"].values() for rank, load in node["ranks"].items()}
        return len(ranks) == 6 and all("output" in ranks[rank]["lagging"] for rank in ("1", "2"))

    def all_is_kept():
        return all(len(ranks_kept(lab, node)) == 3 for node in done.json["data"]["nodes"])

    try:
        wait_for(all_is_seen, 180)
        shown = top(done.json["run_id"])
        # A node keeps one sample in ten seconds, and the first ones may be older than the ranks.
        wait_for(all_is_kept, 180)
    finally:
        stopped = madctl("stop", done.json["run_id"], env=state)
    assert stopped.code == 0, stopped.err
    return seen, shown, top("--output", "json"), top()


def of_ranks(done):
    return {int(rank): load for node in done.json["data"]["nodes"].values() for rank, load in node["ranks"].items()}


def test_a_run_that_goes_on(lagging):
    *_, last = lagging[0]
    data, ranks = last.json["data"], of_ranks(last)

    assert (last.json["status"], data["is_over"]) == ("succeeded", False)
    assert {host: (node["state"], sorted(node["ranks"])) for host, node in data["nodes"].items()} == {
        "node1": ("running", ["0", "1", "2"]),
        "node2": ("running", ["3", "4", "5"]),
    }
    for node in data["nodes"].values():
        assert (node["cores"], node["gpus"], node["gpus_error"]) == (os.cpu_count(), [], None)
        assert 0 < node["memory_bytes"] < node["memory_total_bytes"]
        assert 0 < node["cpu_percent"] <= 100
        assert node["job"]["processes"] >= 4
    # However busy this machine is, one of them computes and no other does.
    assert max(ranks, key=lambda rank: ranks[rank]["cpu_percent"]) == 1
    assert {rank for rank, load in ranks.items() if "output" in load["lagging"]} == {1, 2}
    assert all(load["memory_bytes"] > 1 << 20 and load["processes"] == 1 for load in ranks.values())
    assert min(ranks[1]["output_age_seconds"], ranks[2]["output_age_seconds"]) > 10


def test_nobody_lags_in_the_first_seconds(lagging):
    early = [done for done in lagging[0] if any(load["age_seconds"] < 10 for load in of_ranks(done).values())]

    assert not [load for done in early for load in of_ranks(done).values() if load["lagging"]]


def test_where_there_is_no_terminal_a_table_is_printed_once(lagging):
    shown = lagging[1].out
    lines = shown.splitlines()

    assert "\x1b" not in shown
    assert lines[2].split()[:3] == ["NODE", "CPU", "MEMORY"]
    assert lines[3].startswith("node1 ") and lines[3].endswith("! a rank lags")
    assert [line.split()[1] for line in lines if line.startswith("! ")] == ["1", "2"]
    assert len([line for line in lines if "! lags: output" in line]) == 2


def test_a_run_that_has_ended_shows_its_last_samples(lagging):
    _, _, over, shown = lagging

    assert over.json["data"]["is_over"] is True
    assert {node["state"] for node in over.json["data"]["nodes"].values()} == {"exited"}
    assert sorted(of_ranks(over)) == [0, 1, 2, 3, 4, 5]
    assert of_ranks(over)[1]["cpu_percent"] > 0
    assert shown.out.count("exited, last sample") == 2


def test_a_run_that_is_not_known(own_records):
    done = madctl("top", "none", "--output", "json")

    assert (done.code, done.codes) == (2, ["RUN_UNKNOWN"])


@pytest.mark.long
def test_a_node_that_does_not_answer_is_named_and_the_others_are_shown(detached_command, on):
    on("node2", "ip", "link", "set", "eno1", "down")
    try:
        done = madctl("top", detached_command, "--output", "json")
    finally:
        on("node2", "ip", "link", "set", "eno1", "up")

    assert (done.code, [error["host"] for error in done.json["errors"]]) == (4, ["node2"])
    assert set(done.codes) <= {"NODE_SILENT", "HOST_UNREACHABLE"}
    assert list(done.json["data"]["nodes"]) == ["node1"]
    assert done.json["data"]["nodes"]["node1"]["job"]["processes"] >= 1

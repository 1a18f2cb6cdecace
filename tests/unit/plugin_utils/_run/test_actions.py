# SPDX-License-Identifier: Apache-2.0
"""
Every action in one playbook, on two nodes that both are this machine: one is local, one has a stand-in for ssh.

Agents and supervisors are real. It needs neither root nor a lab nor ssh.
"""

import json
import os
import re
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
import yaml

from ansible_collections.madctl.multinode.plugins.module_utils._common import run_directory
from tests.unit import supervisor_lock
from tests.unit.module_utils import plans, three_ways

ROOT = Path(__file__).parents[4]
HOSTS = ["n1", "n2"]
COMMAND = {"work": ["/bin/true"], "shape": "command"}


def task(name, action, **arguments):
    """A task whose result is registered, whether it fails or not."""
    found = {"name": name, f"madctl.multinode.{action}": arguments, "register": name, "ignore_errors": True}
    return {**found, "run_once": action != "node_info"}


class Played:
    """A playbook that has run, its two runs of jobs, and the results of its tasks."""

    def __init__(self, place):
        self.place = place
        self.ended, self.lives = (f"20260101-00000{number}-{uuid.uuid4().hex[:8]}" for number in (0, 1))
        prints = plans.unswept("echo hello from $NODE_RANK", place)
        plan = plans.on_this_machine(place, self.ended, prints, HOSTS)
        long = plans.on_this_machine(place, self.lives, "exec sleep 600", HOSTS)
        self.base = str(place / "n1")
        both = {"run_dir": self.base}
        self.tasks = [
            task("node_info", "node_info", shape="command", run_dir=self.base),
            task("compare_gpus", "compare_nodes", about="gpus", facts_from="node_info"),
            task("compare_network", "compare_nodes", about="network", facts_from="node_info", interface="no-such0"),
            task("compare_storage", "compare_nodes", about="storage", facts_from="node_info"),
            task("rendezvous", "rendezvous", **COMMAND, **both),
            task("one", "rendezvous", nnodes=1, prove=True, **COMMAND, **both),
            task("nothing", "run_launch", shape="command"),
            task("dry", "run_launch", plan=plan, dry_run=True),
            task("launch", "run_launch", plan=plan),
            task("logs", "run_logs", plan=plan),
            task("collect", "run_collect", plan=plan, dest=str(place / "collected")),
            task("detached", "run_launch", plan=long, detach=True),
            task("ps", "run_ps", **both),
            task("status", "run_status", plan=long),
            {**task("stop", "run_stop", run_id=self.lives, grace=1, **both), "diff": True},
            task("stopped", "run_status", run_id=self.lives, **both),
            task("read", "run_logs", run_id=self.lives, follow=True, read_only=True, **both),
            task("unknown", "run_status", run_id="20200101", **both),
            task("gc", "run_gc", days=0, **both),
            # This leaves a mark, so that a start that comes later does not happen.
            task("stop_unknown", "run_stop", run_id="20200101", **both),
        ]
        names = [each["name"] for each in self.tasks]
        content = "{{ {%s} | to_json }}" % ", ".join(f"'{name}': {name}" for name in names)
        nodes = "{{ hostvars | dict2items | map(attribute='value.node_info') | list | to_json }}"
        self.tasks += [
            {"name": "Keep", "ansible.builtin.copy": {"content": text, "dest": str(place / name)}, "run_once": True}
            for name, text in (("results.json", content), ("nodes.json", nodes))
        ]
        self.out = self.play(self.write(), check=True)
        self.results = json.loads((place / "results.json").read_text())
        self.nodes = json.loads((place / "nodes.json").read_text())

    def write(self):
        here = {"ansible_python_interpreter": sys.executable}
        carried = {"ansible_connection": "ssh", "ansible_ssh_executable": three_ways.stand_in_for_ssh(self.place)}
        hosts = {"n1": {"ansible_connection": "local", **here}, "n2": {**carried, **here}}
        (self.place / "inventory.yml").write_text(yaml.safe_dump({"all": {"hosts": hosts}}))
        play = {"hosts": "all", "gather_facts": False, "tasks": self.tasks}
        (self.place / "play.yml").write_text(json.dumps([play]))
        return self.place / "play.yml"

    def play(self, playbook, *words, check=False):
        argv = ["ansible-playbook", "-i", self.place / "inventory.yml", playbook, *words]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        env = {**kept, "ANSIBLE_HOME": str(self.place / "ansible"), "ANSIBLE_NOCOLOR": "1"}
        path = os.pathsep.join([str(Path(sys.executable).parent), env["PATH"]])
        done = subprocess.run(
            argv, cwd=self.place, env={**env, "PATH": path}, capture_output=True, text=True, timeout=300
        )
        said = done.stdout + done.stderr
        assert not check or done.returncode == 0, said
        return said if check else (done.returncode, said)

    def codes(self, name):
        return {(entry["code"], entry["host"]) for entry in self.results[name]["problems"]}


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    with supervisor_lock.held(tmp_path_factory):
        yield Played(tmp_path_factory.mktemp("actions"))


def test_node_info_inspects_each_node(played):
    assert [node["node"]["hostname"] for node in played.nodes] == [os.uname().nodename] * 2


def test_compare_nodes_judges_what_node_info_found(played):
    assert {host: "count" in found for host, found in played.results["compare_gpus"]["nodes"].items()} == {
        "n1": True,
        "n2": True,
    }
    assert played.results["compare_storage"]["nodes"] == {host: {"mounts": []} for host in HOSTS}
    assert played.codes("compare_network") == {("INTERFACE_UNKNOWN", host) for host in HOSTS}


def test_rendezvous_judges_all_nodes_together(played):
    assert played.results["rendezvous"]["plan"] is None
    assert ("DUPLICATE_MACHINE", "n2") in played.codes("rendezvous")


def test_rendezvous_plans_and_proves(played):
    found = played.results["one"]

    assert found["problems"] == [] and [node["host"] for node in found["plan"]["nodes"]] == ["n1"]
    assert found["checks"]["n1"]["reach"] == "ok"


def test_run_launch_needs_work(played):
    assert "WORK_MISSING" in played.results["nothing"]["msg"]


def test_a_dry_run_of_run_launch_shows_the_plan_and_starts_nothing(played):
    assert (played.results["dry"]["planned"], played.results["dry"]["run_id"]) == (True, played.ended)


def test_run_launch_runs_the_job_on_all_nodes(played):
    found = played.results["launch"]

    assert (found["problems"], found["exit_code"], found["detached"]) == ([], 0, False)
    assert [node["exit_code"] for node in found["summary"]["nodes"]] == [0, 0]
    assert all(f"hello from {rank}" in played.out for rank in range(2))


def test_run_logs_shows_the_output_again(played):
    assert (played.results["logs"]["problems"], played.out.count("hello from 1")) == ([], 2)


def test_run_collect_fetches_what_each_node_holds(played):
    for rank, host in enumerate(HOSTS):
        logs = played.place / "collected" / host / run_directory.LOGS
        assert b"hello from %d" % rank in b"".join(path.read_bytes() for path in logs.iterdir())
    assert played.results["collect"]["changed"]


def test_a_detached_launch_keeps_running(played):
    assert (played.results["detached"]["detached"], played.results["detached"]["problems"]) == (True, [])
    assert {node["state"] for node in played.results["status"]["nodes"].values()} == {"running"}


def test_run_ps_lists_the_runs_of_all_nodes(played):
    held = {
        host: {run["run_id"]: run["state"] for run in node["runs"]}
        for host, node in played.results["ps"]["nodes"].items()
    }

    assert held == {host: {played.ended: "exited", played.lives: "running"} for host in HOSTS}


def test_run_stop_ends_a_run_and_proves_it(played):
    found = played.results["stop"]

    assert (found["changed"], found["problems"], {host: node["left"] for host, node in found["nodes"].items()}) == (
        True,
        [],
        {host: [] for host in HOSTS},
    )
    assert {node["state"] for node in played.results["stopped"]["nodes"].values()} == {"exited"}
    # One machine: the stop of one node may leave nothing to the other.
    ended = set(found["diff"]["before"].splitlines())
    assert ended and ended <= {f"{host}: run {played.lives}" for host in HOSTS}


def test_run_logs_tells_how_the_run_ended_though_reading_it_succeeds(played):
    assert (played.results["read"]["problems"], played.results["read"].get("failed", False)) == ([], False)
    assert re.search(r"done    stopped after \d.* on 2 nodes", played.out)


def test_a_run_that_no_node_holds_is_unknown_on_all(played):
    for name in ("unknown", "stop_unknown"):
        assert played.codes(name) == {("RUN_UNKNOWN", host) for host in HOSTS}


def test_run_gc_removes_what_is_over(played):
    removed = {host: {run["run_id"] for run in node["removed"]} for host, node in played.results["gc"]["nodes"].items()}

    # One directory, two names: whichever node comes first removes the most.
    assert set.union(*removed.values()) == {played.ended, played.lives}
    assert not [path for path in Path(played.base).iterdir() if path.name.startswith("2026")]


def test_a_tag_that_no_task_has_is_refused(played):
    code, said = played.play(ROOT / "playbooks/ps.yml", "--tags", "lst", "-e", f"madctl_run_dir={played.base}")

    assert code and "lst" in said and "TAG_UNKNOWN" in said

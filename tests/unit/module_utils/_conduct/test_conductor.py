# SPDX-License-Identifier: Apache-2.0
"""A launch on two nodes from the first look to the end, with real agents and supervisors, by every kind of way."""

import contextlib
import os
import signal
import socket
import sys
import uuid
from pathlib import Path

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, events, fact_answers
from ansible_collections.madctl.multinode.plugins.module_utils._common.event_loop import Loop
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import arm_nodes, conductor
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents
from ansible_collections.madctl.multinode.plugins.module_utils._probe import node_facts
from tests.unit.module_utils import plans
from tests.unit.module_utils.agent_by_hand import until
from tests.unit.module_utils.three_ways import KINDS

HOSTS = ("n1", "n2")
# A variable that all has which a launch starts.
MARK = "LAUNCH_UNDER_TEST"
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("alone")]


class Launch:
    """Two nodes that are this machine, each with a directory of its own for runs."""

    def __init__(self, kind, place):
        self.place = place
        self.ways = {host: KINDS[kind](host, place) for host in HOSTS}
        self.loop, self.events, self.output = Loop(), [], dict.fromkeys(HOSTS, b"")
        self.agents = Agents(self.loop, dict(self.ways))
        self.conductor = conductor.Conductor(self.agents, self._tell)
        self.run_id = f"20260101-000000-{uuid.uuid4().hex[:8]}"
        self.mark = uuid.uuid4().hex
        # What is done on an event of a node.
        self.on = {}

    def _tell(self, event, payload):
        key = event["event"], event.get("host")
        self.events.append(key)
        if event["event"] == events.LOG:
            self.output[event["host"]] += payload
        action = self.on.pop(key, None)
        if action:
            action()

    def plan(self, script):
        return plans.on_this_machine(self.place, self.run_id, script, HOSTS)

    def start(self, plan, **more):
        given = {"user_env": {}, "timeout": None, "idle_timeout": None, "log_cap": 1 << 20, "detach": False}
        given["in_step"] = False
        return self.conductor.start(plan, {**given, **more})

    def left(self):
        """Return the processes that were started for the nodes and still run, except waiting agents."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                is_ours = f"{MARK}={self.mark}".encode() in (entry / "environ").read_bytes()
                if is_ours and not any(int(entry.name) in way.pids for way in self.ways.values()):
                    found.append((entry.name, (entry / "cmdline").read_bytes()))
        return found

    def close(self):
        self.agents.close()
        self.loop.close()
        for pid, _ in self.left():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        for way in self.ways.values():
            if hasattr(way, "wait"):
                way.wait()


@pytest.fixture(params=KINDS)
def launch(request, tmp_path, monkeypatch):
    launch = Launch(request.param, tmp_path)
    monkeypatch.setenv(MARK, launch.mark)
    yield launch
    launch.close()


def codes_of(problems):
    return [(entry["code"], entry["host"]) for entry in problems]


def test_a_look_gives_facts_of_every_node(launch, tmp_path):
    request = {name: about.get("default") for name, about in node_facts.ARGUMENTS.items()}
    request.update(work=["/bin/true"], shape="command", run_dir=str(tmp_path))
    seen = launch.conductor.probe(HOSTS, request)
    for host in HOSTS:
        assert seen[host].problem is None, seen[host].problem
        assert fact_answers.odd_fact(seen[host].facts, []) is None
        assert seen[host].facts["hostname"] == socket.gethostname()
    assert sorted(launch.events) == [(events.PROBED, host) for host in HOSTS]


def test_a_node_that_cannot_be_looked_at_is_the_only_one(launch, tmp_path):
    request = {name: about.get("default") for name, about in node_facts.ARGUMENTS.items()}
    request.update(work=["/bin/true"], shape="command", run_dir=str(tmp_path))
    launch.ways["n2"].python = "/no/such/python3"
    seen = launch.conductor.probe(HOSTS, request)
    assert seen["n1"].facts and not seen["n2"].facts
    # What carries a program that dials in does not say how that ended.
    assert seen["n2"].problem["code"] in ("PYTHON_MISSING", "HOST_UNREACHABLE")


def looked(launch, setup, **more):
    request = {name: about.get("default") for name, about in node_facts.ARGUMENTS.items()}
    request.update(work=["train.py"], run_dir=str(launch.place), chdir=str(launch.place), setup=setup, **more)
    return launch.conductor.probe(HOSTS, request)


def test_a_look_finds_what_the_setup_leads_to(launch):
    python, inner = launch.place / "bin" / "python3", launch.place / "inner"
    for place in (python.parent, inner):
        place.mkdir()
    python.write_text(f'#!/bin/sh\ntest "$A" = 1 || exit 9\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    (inner / "train.py").write_text("")
    seen = looked(launch, f"export PATH={python.parent}:$PATH A=$B CUDA_VISIBLE_DEVICES=3; cd {inner}", env={"B": "1"})
    for host in HOSTS:
        facts = seen[host].facts
        assert fact_answers.odd_fact(facts, []) is None
        assert facts["python"]["own"] == str(python) and facts["python"]["own_report"]
        assert facts["files"]["entry_exists"] and facts["visible"]["CUDA_VISIBLE_DEVICES"] == "3"


def test_a_node_whose_setup_fails_is_named_with_the_reason(launch):
    flag = launch.place / "first"
    seen = looked(launch, f"mkdir {flag}")
    found = [seen[host].problem for host in HOSTS if seen[host].problem]
    # The nodes are one machine: the second one finds that it exists.
    assert [entry["code"] for entry in found] == ["SETUP_FAILED"]
    assert "exit code 1: mkdir: cannot create directory" in found[0]["message"]


def test_a_setup_that_fails_where_it_is_armed_starts_nothing_anywhere(launch):
    marker = launch.place / "started"
    plan = launch.plan(f"echo x >> {marker}")
    setup = 'setsid sleep 600 & test "$NODE_RANK" != 1 || { echo why >&2; exit 7; }'
    result = launch.start({**plan, "setup": {"text": setup, "login": False, "seconds": 60.0}})
    assert codes_of(result["problems"]) == [("SETUP_FAILED", "n2")]
    assert result["problems"][0]["message"] == "the setup failed: exit code 7: why"
    until(lambda: not launch.left())
    assert not marker.exists()


def test_the_proof_has_the_others_connect_to_the_head(launch):
    proof = launch.plan("exit 0")["proof"]
    assert "listen" in proof["n1"] and "connect" in proof["n2"]
    assert launch.conductor.prove(proof) == []


def test_the_proof_finds_a_node_that_does_not_come_to_the_head(launch):
    proof = launch.plan("exit 0")["proof"]
    proof["n2"]["connect"]["token"] = "of another run"
    found = launch.conductor.prove(proof)
    assert found and {entry["host"] for entry in found} == {"n2"}


def test_a_job_runs_on_all_nodes(launch):
    result = launch.start(launch.plan(plans.unswept("echo hello", launch.place)))
    assert result["problems"] == [] and result["exit_code"] == 0 and not result["detached"]
    assert launch.output == dict.fromkeys(HOSTS, b"hello\n")
    # One channel a node carries all of it.
    assert [len(way.connections) for way in launch.ways.values()] == [1, 1]
    until(lambda: not launch.left())


def test_a_job_that_fails_on_one_node_is_that_node_s_failure(launch):
    result = launch.start(launch.plan('test "$NODE_RANK" != 1 || exit 7; exec sleep 600'))
    assert result["problems"][0]["host"] == "n2" and "7" in result["problems"][0]["message"], result["problems"]
    assert result["exit_code"] != 0
    until(lambda: not launch.left())


def test_an_agent_that_dies_in_the_middle_of_arming_leaves_nothing(launch, monkeypatch):
    marker = launch.place / "started"
    take = arm_nodes.Arming._answered

    def armed(self, host, answer):
        # The head is still in its proof until all others are armed.
        if host == "n2":
            os.kill(launch.ways["n1"].pids[-1], signal.SIGKILL)
        take(self, host, answer)

    monkeypatch.setattr(arm_nodes.Arming, "_answered", armed)
    result = launch.start(launch.plan(f"echo x >> {marker}"))
    assert ("NODE_NOT_READY", "n1") in codes_of(result["problems"]), result["problems"]
    until(lambda: not launch.left())
    assert not marker.exists()


def test_an_interrupt_before_go_starts_nothing(launch):
    marker = launch.place / "started"
    reason = codes.problem("INTERRUPTED", None, "interrupted")
    launch.on[events.READY, "n2"] = lambda: launch.conductor.interrupt(reason)
    result = launch.start(launch.plan(f"echo x >> {marker}"))
    assert codes_of(result["problems"])[:1] == [("INTERRUPTED", None)], result["problems"]
    until(lambda: not launch.left())
    assert not marker.exists()


def test_a_channel_that_is_lost_after_go_comes_back(launch):
    flag = launch.place / "back"
    launch.on[events.LOG, "n2"] = lambda: launch.ways["n2"].connections[-1].link.shutdown(socket.SHUT_RDWR)
    launch.on[events.BACK, "n2"] = flag.touch
    script = f"echo hello; until [ -e {flag} ]; do sleep 0.05; done; echo bye"
    result = launch.start(launch.plan(plans.unswept(script, launch.place)))
    assert result["problems"] == [] and result["exit_code"] == 0
    assert launch.output == dict.fromkeys(HOSTS, b"hello\nbye\n")
    assert (events.SUSPECT, "n2") in launch.events and (events.BACK, "n2") in launch.events
    until(lambda: not launch.left())

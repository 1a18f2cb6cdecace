# SPDX-License-Identifier: Apache-2.0
"""Plans of nodes that are called n1, n2 and so on, and the problems of those that are refused."""

import copy
import shlex
import sys

from ansible_collections.madctl.multinode.plugins.module_utils._common import run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._plan import judgement, planner
from ansible_collections.madctl.multinode.plugins.module_utils._request.request import Request
from tests.unit import ports
from tests.unit.module_utils import healthy_facts


def make(facts, **request):
    hosts = [f"n{index}" for index in range(1, len(facts) + 1)]
    fields = {"run_id": "r", "work": ("train.py",), "python": "/opt/python", "chdir": "/job", **request}
    return planner.make(Request(**fields), hosts, facts)


def codes(outcome):
    return [(entry["code"], entry["host"]) for entry in outcome.problems]


def unswept(script, place):
    """
    Write a script of two nodes that are one machine.

    The one that ends first sweeps away every process that carries the run's id, so none does before either may end.
    """
    both = f": > {place}/is-$NODE_RANK; until [ -e {place}/is-0 -a -e {place}/is-1 ]; do sleep 0.05; done"
    return f"exec env -u {run_directory.RUN_ID} /bin/sh -c {shlex.quote(f'{both}; {script}')}"


def on_this_machine(place, run_id, script, hosts=("n1", "n2")):
    """Plan a command on nodes that all are this machine; each keeps its runs in its own directory below a place."""
    facts = []
    for number, _ in enumerate(hosts, 1):
        fact = healthy_facts.node(number)
        # Loopback addresses stand for those of a network.
        fact["interfaces"] = [healthy_facts.interface("ib0", f"127.0.0.{number}", 8)]
        facts.append(fact)
    # Other tests have supervisors on this machine.
    fields = {"shape": "command", "chdir": "/", "master_port": str(ports.free()), "skip": ("machine",)}
    request = Request(run_id=run_id, work=("/bin/sh", "-c", script), **fields)
    judged = judgement.judge(request, list(zip(hosts, facts)), [])
    assert judged.plan, judged.problems
    plan = copy.deepcopy(judged.plan)
    for node in plan["nodes"]:
        node["run_dir"] = str(place / node["host"] / run_id)
        node["python"] = sys.executable
        node["clock_offset"] = 0.0  # All have the clock of this machine.
        plan["proof"][node["host"]].update(routes=None, peers=[])
    return plan

# SPDX-License-Identifier: Apache-2.0
"""Plans of nodes that are called n1, n2 and so on, and the problems of those that are refused."""

from ansible_collections.madctl.multinode.plugins.module_utils._plan import planner
from ansible_collections.madctl.multinode.plugins.module_utils._request.request import Request


def make(facts, **request):
    hosts = [f"n{index}" for index in range(1, len(facts) + 1)]
    fields = {"run_id": "r", "work": ("train.py",), "python": "/opt/python", "chdir": "/job", **request}
    return planner.make(Request(**fields), hosts, facts)


def codes(outcome):
    return [(entry["code"], entry["host"]) for entry in outcome.problems]

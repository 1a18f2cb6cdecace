# SPDX-License-Identifier: Apache-2.0
"""What a run says of itself: the states of its nodes, and the reports of its ranks."""

import json
import re

from tests.integration.command import madctl


def states(run_id):
    done = madctl("status", run_id, "--output", "json")
    assert done.json["data"], done.out
    return {node["host"]: node["state"] for node in done.json["data"]["nodes"]}


def running(lab, run_id):
    """Check that a fault hits a healthy run; otherwise the test would pass for the wrong reason."""
    assert set(states(run_id).values()) == {"running"}


def reports(finished):
    lines = re.findall(r"REPORT (\{.*\})", finished.err)
    return sorted((json.loads(line) for line in lines), key=lambda report: int(report["rank"]))

# SPDX-License-Identifier: Apache-2.0
"""The steps of a launch in a job before its start, and all steps of a check there. Private to the collection."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any, Dict, List, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common import catalog, codes, events, run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.conductor import Conductor
from ansible_collections.madctl.multinode.plugins.module_utils._node import trees
from ansible_collections.madctl.multinode.plugins.module_utils._plan import judgement
from ansible_collections.madctl.multinode.plugins.module_utils._request import launch_request
from ansible_collections.madctl.multinode.plugins.module_utils._show import check_table, chosen, findings, plan_text

Arguments = Dict[str, Any]


def judged(conductor: Conductor, arguments: Arguments, hosts: List[str], in_full: bool) -> judgement.Judgement:
    """
    Probe all nodes, judge and plan, and report the plan, unless this was interrupted.

    Args:
        in_full: Whether to also probe what this launch does not need.
    """
    asked = launch_request.probe(arguments, write=True, in_full=in_full)
    seen = conductor.probe(hosts, {**asked, "chdir": _directory(arguments)})
    nodes = [(host, seen[host].facts if host in seen else None) for host in hosts]
    failed = [found.problem for found in seen.values() if found.problem]
    counted = hosts if arguments["nnodes"] else [host for host, facts in nodes if facts is not None]
    request = launch_request.request(arguments, (None,) * len(counted))
    found = judgement.judge(request, nodes, failed, arguments["nnodes"], arguments["max_restarts"])
    shown = chosen.of(arguments["show_hosts"], arguments["show_ranks"])
    empty = chosen.problems(shown, found.plan) if found.plan else []
    if empty:
        found = replace(found, plan=None, problems=empty)
    if not conductor.is_over:
        outline = plan_text.outline(found.plan) if found.plan else None
        told = {"plan": outline, "warnings": found.warnings, "without_ifconfig": found.without_ifconfig}
        cells = check_table.cells(found.hosts, found.problems, found.warnings, _silent(found, arguments))
        conductor.tell({"event": events.PLANNED, **told, "found": findings.told(cells, found.fingerprints)})
    return found


def _directory(arguments: Arguments) -> Optional[str]:
    """Return the directory in which nodes look for the script; nodes that get code have no copy of it yet."""
    code, chdir = arguments.get("code"), arguments["chdir"]
    if not code:
        return chdir and str(chdir)
    return os.path.join(trees.place(code["trees"], code["tree"]), run_directory.FILES, chdir or "")


def _silent(found: judgement.Judgement, arguments: Arguments) -> Dict[str, List[str]]:
    return judgement.not_run(found, launch_request.shared_paths(arguments))


def check(conductor: Conductor, arguments: Arguments, hosts: List[str], missing: List[Problem]) -> Dict[str, Any]:
    """
    Perform the steps of a launch before its start, prove the plan, and return the table of all checks, and all
    problems.

    Args:
        missing: Why nodes did not dial in; then the others are not probed.
    """
    if missing:
        names = {entry["host"] for entry in missing}
        silent = dict.fromkeys(hosts, [name for name in catalog.NAMES if name != "reach"])
        checks = check_table.cells(hosts, missing, [], silent) if names.intersection(hosts) else {}
        return {"checks": checks, "warning_list": [], "problems": missing, "exit_code": int(codes.exit_code(missing))}
    found = judged(conductor, arguments, hosts, in_full=True)
    problems = [*found.problems, *([] if conductor.is_over else conductor.prove(found.proof, found.left_out))]
    if conductor.interrupted:
        return {"problems": [conductor.interrupted], "exit_code": int(codes.exit_code([conductor.interrupted]))}
    return {
        "checks": check_table.cells(found.hosts, problems, found.warnings, _silent(found, arguments)),
        "candidates": found.candidates,
        "fingerprints": found.fingerprints,
        "warning_list": found.warnings,
        "problems": problems,
        "exit_code": int(codes.exit_code(problems)) if problems else 0,
    }

# SPDX-License-Identifier: GPL-3.0-or-later
"""Inspect all nodes of the play and judge them, for a check and before a launch; show the result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, events
from ansible_collections.madctl.multinode.plugins.module_utils._common.refusal import Refused
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.conductor import Conductor
from ansible_collections.madctl.multinode.plugins.module_utils._plan import judgement
from ansible_collections.madctl.multinode.plugins.module_utils._request import launch_request
from ansible_collections.madctl.multinode.plugins.module_utils._show import check_table, findings, plan_text, sentences
from ansible_collections.madctl.multinode.plugins.module_utils._show import chosen as chosen_output
from ansible_collections.madctl.multinode.plugins.module_utils._sync.code import read
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes import own_settings
from ansible_collections.madctl.multinode.plugins.plugin_utils._run import code, play_rules, request_of, results
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import playbook_screen


def look(
    conductor: Conductor,
    arguments: dict[str, Any],
    variables: dict[str, Any],
    stages: play_rules.Stages,
    in_full: bool,
) -> judgement.Judgement:
    """
    Probe all hosts of the play, judge and plan, and show the plan.

    Args:
        arguments: As ``request_of.read`` returns them.
        variables: The variables of every host, by host.
        stages: Whether nodes write files for a proof that follows, and whether those without ifconfig are only listed.
        in_full: Whether to also probe what this launch does not need, see ``launch_request.probe``.
    """
    hosts = request_of.in_rank_order(variables)
    try:
        sent = read(arguments)
    except Refused as refused:
        return judgement.Judgement(None, [refused.problem], [])
    arguments = sent.arguments(arguments) if sent else arguments
    playbook_screen.probing(hosts)
    write = boolean(arguments.get("write", True)) and not stages.is_dry
    asked = launch_request.probe(arguments, write, in_full)
    sending = code.sending(sent, arguments, stages.is_dry) if sent else None
    seen = conductor.probe(hosts, asked, launch_request.probes(arguments, asked), sending)
    if sent and conductor.sending:
        if conductor.sending.trouble:
            return judgement.Judgement(None, [conductor.sending.trouble], [])
        if not conductor.is_over:
            code.tell(conductor, sent, conductor.sending)
    nothing: Any = None, None
    nodes = [(host, seen.get(host, nothing)[0]) for host in hosts]
    failed = [problem for _, problem in (seen.get(host, nothing) for host in hosts) if problem]
    nnodes = arguments["nnodes"]
    counted = hosts if nnodes else [host for host, facts in nodes if facts is not None]
    request = request_of.request(arguments, request_of.slots(variables, counted))
    judged = judgement.judge(request, nodes, failed, nnodes, arguments["max_restarts"], stages.installs)
    if sent:
        judged = replace(judged, warnings=[*sent.warnings, *judged.warnings])
    empty = chosen_output.problems(request_of.chosen(arguments), judged.plan) if judged.plan else []
    if empty:
        judged = replace(judged, plan=None, problems=empty)
    if not conductor.is_over:
        _tell(conductor, judged, arguments)
    return judged


def _tell(conductor: Conductor, judged: judgement.Judgement, arguments: dict[str, Any]) -> None:
    """Show how many nodes answered, and the plan or what it waits for; send madctl the values to hide."""
    plan = plan_text.outline(judged.plan) if judged.plan else None
    told = {"plan": plan, "warnings": judged.warnings, "without_ifconfig": judged.without_ifconfig}
    is_quiet = bool(arguments["event_socket"])
    told["hidden"] = list(own_settings.secrets(arguments)) if is_quiet else []
    cells = _cells(judged, judged.problems, arguments)
    conductor.tell({"event": events.PLANNED, **told, "found": findings.told(cells, judged.fingerprints)})
    if is_quiet:
        return
    if judged.answered:
        playbook_screen.tell(*sentences.answered(judged.answered))
    if judged.plan:
        playbook_screen.planned(judged.plan, judged.warnings)
    elif judged.without_ifconfig:
        playbook_screen.tell(*sentences.installing(judged.without_ifconfig))


def prove(
    conductor: Conductor, judged: judgement.Judgement, arguments: dict[str, Any], show: bool
) -> tuple[dict[str, Any], list[codes.Problem]]:
    """
    Run the proof; return and show the table of all checks and all problems.

    Args:
        arguments: As ``request_of.read`` returns them.
        show: Whether to also show the table.
    """
    problems = [*judged.problems, *conductor.prove(judged.proof, judged.left_out)]
    checks = _cells(judged, problems, arguments)
    if show:
        playbook_screen.say(check_table.lines(checks))
    if not judged.plan:
        # If there is a plan, they were shown beside it.
        playbook_screen.notices(judged.warnings)
    playbook_screen.problems(problems)
    return checks, problems


def _cells(
    judged: judgement.Judgement, problems: Sequence[codes.Problem], arguments: dict[str, Any]
) -> check_table.Cells:
    silent = judgement.not_run(judged, launch_request.shared_paths(arguments))
    return check_table.cells(judged.hosts, problems, judged.warnings, silent)


def found(judged: judgement.Judgement) -> dict[str, Any]:
    """Return the parts of a judgement that later tasks need."""
    return {
        "changed": False,
        "plan": judged.plan,
        "nodes": {node["host"]: node for node in judged.plan["nodes"]} if judged.plan else {},
        "without_ifconfig": judged.without_ifconfig,
        "warning_list": judged.warnings,
        "candidates": judged.candidates,
        "fingerprints": judged.fingerprints,
    }


def interrupted(conductor: Conductor, arguments: dict[str, Any], hosts: Sequence[str]) -> dict[str, Any]:
    """Return the result of an action that was interrupted before anything started on the hosts of the play."""
    reason = conductor.interrupted or codes.problem("INTERRUPTED", None, "interrupted")
    return results.judged({"changed": False, "exit_code": int(codes.exit_code([reason]))}, [reason], arguments, hosts)

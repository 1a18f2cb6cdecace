# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge what all nodes of the play reported, and plan the launch where nothing stands against it."""

from __future__ import annotations

import secrets
import time
from dataclasses import fields
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase

from ansible_collections.madctl.multinode.plugins.module_utils._common import catalog, codes, raw_words
from ansible_collections.madctl.multinode.plugins.module_utils._plan import planner, spare_nodes
from ansible_collections.madctl.multinode.plugins.module_utils._request import madengine_options, validation
from ansible_collections.madctl.multinode.plugins.module_utils._request.request import Request
from ansible_collections.madctl.multinode.plugins.module_utils._show import check_table
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes import choose_way, remote_program
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes.way import Way
from ansible_collections.madctl.multinode.plugins.plugin_utils._run import play_rules
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import playbook_screen


class ActionModule(ActionBase):
    """Run once a play; the result is registered for every node."""

    BYPASS_HOST_LOOP = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """
        Return ``plan`` and ``nodes`` by host, or ``problems``.

        Problems are no failure of this task: ``prove`` adds its own and fails with all of them at once.
        """
        super().run(tmp, task_vars)
        variables = play_rules.require(self._task, task_vars)
        arguments = dict(self._task.args)
        key = arguments.pop("facts_from")
        known_tags = validation.listed(arguments.pop("known_tags", None))
        if known_tags:
            play_rules.require_tags(task_vars, known_tags)
        net_tools_follow = boolean(arguments.pop("net_tools_follow", False))
        for name in _LISTS:
            arguments[name] = validation.listed(arguments.get(name))
        arguments["work"] = raw_words.split(arguments.get("work"))
        playbook_screen.refuse(validation.judge(arguments) + validation.judge_hosts(variables))
        hosts = in_rank_order(variables)
        results = [variables[host].get(key, {}) for host in hosts]
        problems = [
            _problem_of(host, result, choose_way.kind(self, variables[host]))
            for host, result in zip(hosts, results)
            if "node" not in result
        ]
        reached = [(host, result["node"]) for host, result in zip(hosts, results) if "node" in result]
        nodes = [(host, result.get("node") if hasattr(result, "get") else None) for host, result in zip(hosts, results)]
        nnodes = int(arguments.get("nnodes") or 0)
        counted = hosts if nnodes else [host for host, _ in reached]
        slots = tuple(_number(variables[host].get("madctl_slots")) for host in counted)
        request = to_request(arguments, slots)
        restarts, wanted = int(arguments.get("max_restarts") or 0), nnodes or len(hosts)
        choice = spare_nodes.Choice([], planner.Outcome(None, [], []), [], [])
        if wanted < len(hosts):
            choice = spare_nodes.choose(request, nodes, problems, wanted)
            problems = choice.outcome.problems
            hosts = hosts if problems else choice.hosts
        elif reached:
            names, facts = zip(*reached)
            choice = spare_nodes.Choice(list(names), planner.make(request, names, facts), [], [])
            # What depends on all nodes together cannot be judged without the ones that are missing.
            needs_all = _NEEDS_ALL if problems else ()
            problems += [entry for entry in choice.outcome.problems if entry["code"] not in needs_all]
        outcome = choice.outcome
        if outcome.plan:
            kept = spare_nodes.keep(request, choice, nodes, restarts) if restarts else None
            outcome.plan["spares"], outcome.plan["restart"] = choice.spares, kept
        missing = [str(entry["host"]) for entry in problems if entry["code"] == "NET_TOOLS_MISSING"]
        wait = missing if net_tools_follow and len(missing) == len(problems) else []
        complete = outcome.plan is not None and not problems
        warnings = [*choice.left_out, *outcome.warnings]
        if complete and outcome.plan:
            playbook_screen.planned(outcome.plan, warnings)
        elif wait:
            playbook_screen.tell("install", "net-tools on %s" % check_table.brief(wait))
        return {
            "changed": False,
            "plan": outcome.plan if complete else None,
            "nodes": {node["host"]: node for node in outcome.plan["nodes"]} if complete and outcome.plan else {},
            "problems": [] if wait else problems,
            "without_ifconfig": wait,
            "warning_list": warnings,
            "proof": outcome.proof,
            "proof_due": bool(problems or wait),
            "candidates": outcome.candidates,
            "fingerprints": outcome.fingerprints,
            "hosts": hosts,
            "shared_paths": validation.mirrored(arguments["shared_paths"], arguments.get("force_mirror_local")),
            "left_out": [name for name in catalog.NAMES if not request.wants(name)],
            "_ansible_verbose_override": True,
        }


_LISTS = ("tags", "replace_containers", "mpi_args", "shared_paths", "shared_fstypes", "skip", "only")
_NEEDS_ALL = {
    "NO_COMMON_NETWORK",
    "NETWORK_MISSING",
    "INTERFACE_AMBIGUOUS",
    "FAMILY_MIXED",
    "GPU_COUNT_DIFFERS",
    "SLOTS_DIFFER",
}


def in_rank_order(variables: dict[str, Any]) -> list[str]:
    """Order hosts by ``madctl_node_rank`` where all have one, else leave the play's order."""
    ranks = {host: _number(own.get("madctl_node_rank")) for host, own in variables.items()}
    if None in ranks.values():
        return list(ranks)
    return sorted(ranks, key=lambda host: ranks[host] or 0)


def _number(given: Any) -> int | None:
    return None if given is None else int(given)


_TYPES: dict[str, Any] = {"bool": boolean, "float": float, "str": str, "Optional[str]": str}


def to_request(arguments: dict[str, Any], slots: tuple[int | None, ...]) -> Request:
    """Turn a task's arguments into a request; what is None keeps its default."""
    names = {field.name for field in fields(Request)}
    given = {name: value for name, value in arguments.items() if name in names and value is not None and value != ""}
    for name in ("work", "mpi_args", "shared_fstypes", "skip", "only"):
        if name in given:
            given[name] = tuple(_plain(word) for word in given[name])
    for name in ("tags", "replace_containers"):
        if name in given:
            given[name] = tuple(map(str, given[name]))
    if "additional_context" in given:
        given["additional_context"] = _contexts(given["additional_context"])
    given["env"] = {str(name): _plain(value) for name, value in (given.get("env") or {}).items()}
    # Ansible before 2.19 makes text of every number that a template gives.
    for field in fields(Request):
        if field.name in given and field.type in _TYPES:
            given[field.name] = _TYPES[str(field.type)](given[field.name])
    given.setdefault("run_id", new_run_id())
    given.setdefault("work", ())
    return Request(slots=slots, **given)


def _contexts(given: Any) -> tuple[dict[str, Any], ...]:
    """Take additional contexts, each as a mapping or as text the way madengine takes it; a list has several."""
    layers = given if isinstance(given, list) else [given]
    return tuple(_context(layer) for layer in layers)


def _context(given: Any) -> dict[str, Any]:
    try:
        if isinstance(given, str):
            return madengine_options.parse(given)
        return madengine_options.checked(dict(remote_program.plain(given)))
    except (ValueError, TypeError) as error:
        found = codes.problem("CONTEXT_MALFORMED", None, "additional_context: %s" % error)
        raise playbook_screen.refusal([found]) from error


def _plain(word: Any) -> Any:
    return dict(word) if isinstance(word, dict) else str(word)


def new_run_id() -> str:
    """Name a run so that names sort by time and two never meet."""
    return "%s-%s" % (time.strftime("%Y%m%d-%H%M%S"), secrets.token_hex(4))


def _problem_of(host: str, result: Any, kind: type[Way]) -> codes.Problem:
    given = result.get("problem") if hasattr(result, "get") else None
    if given:
        found: codes.Problem = remote_program.plain(given)
        return found
    return codes.problem(
        "PROBE_FAILED", host, str(result.get("msg", "the node was not looked at")), hint=kind.hint("HOST")
    )

# SPDX-License-Identifier: Apache-2.0
"""
Requests to nodes about runs: the state of a run, stopping it, listing runs, removing old ones, fetching one's files.

Every request takes the agents of its nodes and the arguments of the module of the same name, and returns what that
module returns: ``nodes`` by host, ``problems`` of nodes without a valid answer, ``changed``, ``notices``. Private to
the collection.
"""

from __future__ import annotations

import os
import time
from typing import Any, Callable, Dict, List, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, raw_words, wire
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import Plan
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import fetching, find_run
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents
from ansible_collections.madctl.multinode.plugins.module_utils._follow import verdict

Found = Dict[str, Any]
Question = Callable[[Agents, Dict[str, Any]], Found]

_SECONDS = 25.0
# To inspect, to kill, and to have systemd forget the service.
_STOP_MORE_SECONDS = 40.0
# An inspection takes a moment; removing millions of files takes minutes.
_REMOVE_SECONDS = 600.0
DAYS = 7.0


def _found(nodes: Dict[str, Any], silent: Dict[str, str], agents: Agents, changed: bool = False) -> Found:
    """Build a result from the answers of nodes, and the reasons why others were silent."""
    problems = [find_run.silence(agents.ways[host], why) for host, why in silent.items()]
    return {"changed": changed, "nodes": nodes, "problems": problems, "notices": []}


def _sorted(answers: Dict[str, Any], key: str) -> Tuple[Dict[str, Any], Dict[str, str]]:
    """Return the answers that have a key, and the messages of those that do not."""
    nodes = {host: answer for host, answer in answers.items() if key in answer}
    return nodes, {host: answer["msg"] for host, answer in answers.items() if key not in answer}


def status(agents: Agents, arguments: Dict[str, Any]) -> Found:
    """
    Ask all nodes of a run for its state on them.

    Raises:
        find_run.Unknown: If no node has it.
    """
    plan, notices = find_run.plan_of(arguments, agents)
    before = time.time()
    nodes, silent = _sorted(agents.ask(_of_run(plan), "_runs.run_state:look", _SECONDS), "state")
    now = time.time()
    for node in nodes.values():
        _date(node, before, now)
    found = verdict.of_nodes(plan, nodes)
    run = {**verdict.shown(found, found.began, now), "world_size": plan["world_size"]}
    return {**_found(nodes, silent, agents), "run_id": plan["run_id"], "run": run, "notices": notices}


def _date(answer: Dict[str, Any], before: float, after: float) -> None:
    """Note by how much a node's clock is certainly wrong: its answer was written between two times of ours."""
    clock = answer.pop("clock", after)
    answer["clock_offset"] = min(clock - before, 0.0) or max(clock - after, 0.0)


def _of_run(plan: Plan) -> Dict[str, Dict[str, Any]]:
    """Return the request for a run, by host."""
    return {node["host"]: {"run_id": plan["run_id"], "run_dir": node.get("run_dir")} for node in plan["nodes"]}


def ps(agents: Agents, arguments: Dict[str, Any]) -> Found:
    """Ask all nodes which runs they have."""
    before = time.time()
    nodes, silent = _sorted(find_run.survey(arguments, agents), "runs")
    now = time.time()
    parts: Dict[str, Dict[str, Any]] = {}
    for host, node in nodes.items():
        for run in node["runs"]:
            _date(run, before, now)
            parts.setdefault(run["run_id"], {})[host] = run
    runs = [_run(run_id, parts[run_id], now) for run_id in parts]
    runs.sort(key=lambda run: (run["created"] or 0.0, run["run_id"]), reverse=True)
    return {**_found(nodes, silent, agents), "runs": runs}


def _run(run_id: str, parts: Dict[str, Any], now: float) -> Dict[str, Any]:
    """Describe a run and its state, according to the nodes that were queried."""
    about = next((part["described"] for part in parts.values() if part["described"]), None) or {}
    found = verdict.of_parts(parts)
    known = {key: about.get(key) for key in ("name", "note", "created")}
    stands = verdict.shown(found, found.began or known["created"], now)
    work = raw_words.joined(about["work"]) if about else None
    return {"run_id": run_id, **known, **stands, "hosts": list(parts), "work": work}


def stop(agents: Agents, arguments: Dict[str, Any]) -> Found:
    """
    End a run on all nodes at once, and check each for remains.

    Args:
        arguments: ``run_id``, by default the latest run that is still running, ``run_dir``, ``grace``, ``dry_run``.

    Raises:
        find_run.Unknown: If no run is named and no node has one; its ``nodes`` are those that proved it.
    """
    grace = float(arguments.get("grace", wire.STOP_SECONDS))
    run_id = str(arguments.get("run_id") or "")
    request = {"base": arguments.get("run_dir"), "grace": grace, "dry_run": bool(arguments.get("dry_run"))}
    nodes: Dict[str, Any] = {}
    silent: Dict[str, str] = {}

    def end(run_id: str) -> None:
        requests = dict.fromkeys(agents.ways, dict(request, run_id=run_id))
        known, unknown = _sorted(agents.ask(requests, "_runs.run_end:end", grace + _STOP_MORE_SECONDS), "left")
        nodes.update(known)
        silent.update(unknown)

    if run_id:
        end(run_id)
    notices: List[codes.Problem] = []
    # Without a run, or with one that is over, the user may mean one that is still running, such as a restart of it.
    if not silent and not any(node["changed"] and node["known"] for node in nodes.values()):
        try:
            plan, notices = find_run.plan_of(arguments, agents, alive=True)
        except find_run.Unknown as unknown:
            # Nodes that have nothing of the named run have still proved that nothing is left.
            unknown.nodes = nodes
            raise
        found = str(plan["run_id"])
        if _is_meant(found, run_id, nodes):
            run_id = found
            end(run_id)
    result = _found(nodes, silent, agents, changed=any(node["changed"] for node in nodes.values()))
    stuck = [
        codes.problem("LEFT_BEHIND", host, "left behind: %s" % ", ".join(node["left"]), "inspect them on the node")
        for host, node in nodes.items()
        if node["left"]
    ]
    is_unknown = bool(nodes) and not any(node["known"] for node in nodes.values())
    unknown_there = [
        codes.problem("RUN_UNKNOWN", host, find_run.NOT_FOUND % run_id, find_run.SEE) for host in nodes if is_unknown
    ]
    problems = [*result["problems"], *stuck, *unknown_there]
    return {**result, "problems": problems, "run_id": run_id, "known": not is_unknown, "notices": notices}


def _is_meant(found: str, run_id: str, nodes: Dict[str, Any]) -> bool:
    """Return whether a living run matches the given name: its first attempt, its name, or the beginning of its id."""
    is_called = not any(node["known"] for node in nodes.values())
    return found != run_id and (not run_id or found.startswith(run_id + ".") or is_called)


def gc(agents: Agents, arguments: Dict[str, Any]) -> Found:
    """Remove the files of old runs on all nodes."""
    bases = arguments.get("bases") or {}
    requests = {host: {"run_dir": arguments.get("run_dir"), "bases": bases.get(host) or []} for host in agents.ways}
    # A run that is alive on one node is kept on all: only its files on the others may show how it ended there.
    living = agents.ask(requests, "_runs.survey:alive", _SECONDS)
    answered = [host for host in agents.ways if "alive" in living[host]]
    order = {
        "keep": sorted({name for host in answered for name in living[host]["alive"]}),
        "days": float(arguments.get("days", DAYS)),
        "dry_run": bool(arguments.get("dry_run")),
    }
    orders = {host: {**requests[host], **order} for host in answered}
    cleared = agents.ask(orders, "_runs.cleanup:clear", _REMOVE_SECONDS)
    nodes, silent = _sorted({**living, **cleared}, "removed")
    changed = not order["dry_run"] and any(node["removed"] or node["programs"] for node in nodes.values())
    return _found(nodes, silent, agents, changed)


def collect(agents: Agents, arguments: Dict[str, Any]) -> Found:
    """
    Fetch the files of a run from its nodes.

    Args:
        arguments: As for ``status``, and ``dest``, ``max_size`` in bytes, ``dry_run``.

    Raises:
        find_run.Unknown: If no node has it.
    """
    plan, notices = find_run.plan_of(arguments, agents)
    base = os.path.abspath(arguments.get("dest") or plan["run_id"])
    known = {"run_id": plan["run_id"], "dest": base}
    places = {node["host"]: os.path.join(base, node["host"]) for node in plan["nodes"]}
    if arguments.get("dry_run"):
        absent = [host for host, place in places.items() if not os.path.isdir(place)]
        return {**_found({}, {}, agents, changed=bool(absent)), **known, "notices": notices}
    taken = [
        codes.problem("DEST_IN_USE", host, "%s exists and is not from this run" % place, "name another directory")
        for host, place in places.items()
        if not fetching.is_replaced(place, plan["run_id"])
    ]
    if taken:
        return {**_found({}, {}, agents), **known, "problems": taken, "notices": notices}
    size = int(arguments.get("max_size") or fetching.MAX_BYTES)
    fetched = fetching.from_all(agents.ways, _of_run(plan), base, size)
    silent = {host: part.failure for host, part in fetched.items() if part.failure}
    nodes = {host: places[host] for host in fetched if host not in silent}
    left_out = [
        codes.problem("FILES_LEFT_OUT", host, part.left_out, "inspect them on the node, as root if need be")
        for host, part in fetched.items()
        if part.left_out
    ]
    changed = any(part.changed for part in fetched.values())
    return {**_found(nodes, silent, agents, changed), **known, "notices": notices, "warning_list": left_out}


BY_NAME: Dict[str, Question] = {"status": status, "ps": ps, "stop": stop, "gc": gc, "collect": collect}

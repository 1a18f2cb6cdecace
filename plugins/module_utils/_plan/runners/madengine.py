# SPDX-License-Identifier: Apache-2.0
"""
madengine on every node, under our wrapper. Pure; private to the collection.

Version 1 reads ``multi_node_args`` of its additional context; version 2 ignores them and forwards some variables of its
environment into the container. Both versions get both, which is safe. A madengine that does not print its version is
treated as version 1, which needs more care.
"""

from __future__ import annotations

import json
import re
from typing import Any, Dict, List, Optional, Sequence

from ansible_collections.madctl.multinode.plugins.module_utils._common import run_directory, runners
from ansible_collections.madctl.multinode.plugins.module_utils._common.fact_shapes import Container, Facts
from ansible_collections.madctl.multinode.plugins.module_utils._common.raw_words import Word, unpack
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import ModelWork, NodePlan, Plan
from ansible_collections.madctl.multinode.plugins.module_utils._plan import comparison, container_scripts
from ansible_collections.madctl.multinode.plugins.module_utils._plan.starter import Launch, Part, Starter
from ansible_collections.madctl.multinode.plugins.module_utils._request import madengine_options
from ansible_collections.madctl.multinode.plugins.module_utils._request.request import Request

# The program with which madengine runs the script of a model in its container.
_MODEL = run_directory.CONTAINER_PLACE + "/model"
# A user's value would be right on one node only.
RANKS = ("NNODES", "NODE_RANK")
# Without our limit, madengine ends a model after two hours; 0 means no limit to some versions, but immediately to
# others.
FOREVER_SECONDS = 31536000


def major(version: Optional[str]) -> Optional[int]:
    """Parse the major version out of what madengine prints."""
    match = re.search(r"(\d+)\.\d+", version or "")
    return int(match.group(1)) if match else None


def version_of(fact: Facts) -> Optional[str]:
    """Return the version that a node's madengine prints; None without one."""
    found = fact.get("madengine")
    return found["version"] if found else None


def usual(facts: Sequence[Facts]) -> Optional[str]:
    """Return the version that most nodes have, among those that print it."""
    found = [version_of(fact) for fact in facts]
    most = comparison.usual([major(version) for version in found if major(version)])
    return next((version for version in found if most and major(version) == most), None)


def majors(facts: Sequence[Facts]) -> List[Optional[int]]:
    """Return the major version of every node; nodes that do not print one count as the others."""
    most = major(usual(facts))
    return [major(version_of(fact)) or most for fact in facts]


def is_replaced(container: Container, replace: Sequence[str]) -> bool:
    """Return whether a container may be removed."""
    return container["name"] in replace or ("" in replace and container["run_id"] is not None)


def merge(layers: Sequence[Dict[str, Any]], deep: bool) -> Dict[str, Any]:
    """Merge contexts as madengine does, later ones win: version 1 at all depths, version 2 at the first."""
    merged: Dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            both = deep and isinstance(value, dict) and isinstance(merged.get(key), dict)
            merged[key] = merge([merged[key], value], deep) if both else value
    return merged


def context(own: Dict[str, Any], chosen: Dict[str, Any], marks: Dict[str, str]) -> Dict[str, Any]:
    """
    Merge a node's values with the user's own context.

    Args:
        own: The user's context; its values win, except for ranks.
        chosen: ``multi_node_args`` of this node; numbers are not texts, since madengine multiplies them.
        marks: Our own variables for the container.
    """
    given = {key: value for key, value in (own.get("multi_node_args") or {}).items() if key not in RANKS}
    variables = {**(own.get("docker_env_vars") or {}), **marks}
    own = {**own, "encapsulate_script": " ".join(filter(None, (str(own.get("encapsulate_script") or ""), _MODEL)))}
    return {**own, "multi_node_args": {**chosen, **given}, "docker_env_vars": variables}


def _argv(request: Request, fact: Facts, version: Optional[int], merged: Dict[str, Any]) -> List[Word]:
    """Build a node's command line of madengine; the context is one word, a Python literal."""
    found, more, mirror = fact.get("madengine"), request.work, request.force_mirror_local
    # Version 2 takes one tag per option, of which version 1 would keep only the last.
    tags = [word for tag in request.tags for word in ("--tags", tag)] if version == 2 else ["--tags", *request.tags]
    words: List[Word] = [(found and found["program"]) or "madengine", "run", *tags]
    words += ["--additional-context", repr(merged)]
    if mirror:
        words += ["--force-mirror-local", mirror]
    if "--live-output" not in more:
        words.append("--live-output")
    # The timeout on a model's card applies as without madctl.
    is_limited = any(model["timeout"] for model in fact.get("models") or [])
    if not is_limited and madengine_options.option(more, "--timeout") is None:
        words += ["--timeout", str(FOREVER_SECONDS)]  # madctl has its own --timeout.
    return [*words, *more]


def _environment(env: Dict[str, Word]) -> Dict[str, str]:
    """Return the variables that version 2 forwards into its container, besides ``env``, which every job gets."""
    words = [
        *("torchrun", "--nnodes", env["NNODES"], "--node_rank", env["NODE_RANK"]),
        *("--nproc_per_node", env["NPROC_PER_NODE"]),
        *("--master_addr", env["MASTER_ADDR"], "--master_port", env["MASTER_PORT"]),
    ]
    metrics = {} if env["NODE_RANK"] == "0" else {"MAD_COLLECT_METRICS": "false"}
    return {run_directory.RUNNER: " ".join(map(str, words)), **metrics}


def _multi_node_args(launch: Launch, rank: int, env: Dict[str, Word], is_counted: bool) -> Dict[str, Any]:
    """Return the ``multi_node_args`` of madengine's context; numbers are not texts."""
    return {
        # Version 1 writes no other command line that works; ours replaces it.
        "RUNNER": "torchrun",
        # madengine itself counts GPUs that were not counted here.
        **({"MAD_RUNTIME_NGPUS": launch.choices.nprocs[rank]} if is_counted else {}),
        "NNODES": len(launch.case.hosts),
        "NODE_RANK": rank,
        "MASTER_ADDR": launch.address,
        "MASTER_PORT": launch.port,
        "HOST_LIST": "",
        **{name: env[name] for name in ("NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME")},
    }


def _model(launch: Launch, rank: int, args: Dict[str, Any], version: Optional[int], env: Dict[str, Word]) -> ModelWork:
    """Return the work of a node's madengine."""
    request, fact = launch.case.request, launch.case.facts[rank]
    found = fact.get("madengine")
    marks = {run_directory.RUN_ID: request.run_id, **request.attempt_variables}
    merged = context(merge(request.additional_context, version != 2), args, marks)
    containers = found["containers"] if found else []
    return {
        "argv": _argv(request, fact, version, merged),
        "replaced": [entry["name"] for entry in containers if is_replaced(entry, request.replace_containers)],
        "leads": rank == 0,
        "many": len(launch.case.hosts) > 1,
        "version": version,
        "table": madengine_options.table(request.work),
        "skips": madengine_options.skips(request.work, merged),
        "variables": container_scripts.exported(
            env, merged["multi_node_args"], [*merged["docker_env_vars"], *request.env_of(launch.case.hosts[rank])]
        ),
        "mpi_args": list(request.mpi_args),
        "mpirun": request.mpirun,
    }


def _write(launch: Launch, parts: List[Part]) -> None:
    request, facts = launch.case.request, launch.case.facts
    is_counted = request.nproc_per_node != "auto" or any(request.slots) or any(fact["gpus"]["count"] for fact in facts)
    for rank, (part, version) in enumerate(zip(parts, majors(facts))):
        part.argv = [*launch.program(rank, run_directory.LAUNCHER), run_directory.MADENGINE_WRAPPER]
        part.own_env.update(_environment(part.env))
        args = _multi_node_args(launch, rank, part.env, is_counted)
        part.prefix, part.model = [], _model(launch, rank, args, version, part.env)


def _files(plan: Plan, node: NodePlan, secret: str) -> Dict[str, str]:
    """Return what our wrapper of madengine reads, and the key with which it requests daemons from its supervisor."""
    model = node["model"]
    assert model is not None
    scripts = container_scripts.of(plan, node, model)
    about = {**model, "argv": [unpack(word) for word in model["argv"]], "mpi_args": [], "scripts": scripts}
    relay = {run_directory.RELAY_KEY: secret} if runners.ranks_by(plan["runner"]).daemons else {}
    return {run_directory.MODEL: json.dumps(about), **relay}


STARTER = Starter("madengine", _write, _files, after=run_directory.CONTAINER_REMOVAL)

# SPDX-License-Identifier: Apache-2.0
"""
Write madengine's command line for every node, and judge what it needs there. Pure; private to the collection.

Version 1 reads ``multi_node_args`` of its additional context; version 2 ignores them and forwards some
variables of its environment into the container. To give both to either is safe.
"""

from __future__ import annotations

import re
from typing import Any, Dict, List, Optional, Sequence, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils import _literal
from ansible_collections.madctl.multinode.plugins.module_utils._codes import Problem, problem

Nodes = Sequence[Tuple[str, Dict[str, Any]]]

# Nobody can choose these for one node without being wrong on another.
RANKS = ("NNODES", "NODE_RANK")


def parse(text: str) -> Dict[str, Any]:
    """
    Read an additional context, a Python literal as madengine wants it, or JSON.

    Raises:
        ValueError: If it is neither, or no mapping.
    """
    return dict(_literal.mapping(text))


def major(version: Optional[str]) -> Optional[int]:
    """Read the major version out of what madengine says of itself."""
    match = re.search(r"(\d+)\.\d+", version or "")
    return int(match.group(1)) if match else None


def judge(nodes: Nodes, replace: Sequence[str]) -> List[Problem]:
    """
    Find what stands against models on these nodes.

    Args:
        replace: Containers that may be removed, by name; an empty name is every one that carries a run's id.
    """
    found: List[Problem] = []
    known = [(host, facts.get("madengine")) for host, facts in nodes]
    sound = [(host, entry) for host, entry in known if entry and entry["program"] and not entry["broken"]]
    versions = {host: major(entry["version"]) for host, entry in sound}
    usual = max(set(versions.values()), key=list(versions.values()).count) if versions else None
    for host, entry in known:
        if entry is None:
            found.append(problem("MADENGINE_HUNG", host, "madengine could not be looked for"))
            continue
        if not entry["program"]:
            found.append(problem("MADENGINE_MISSING", host, "no madengine beside the job's Python or on the PATH"))
        elif entry["broken"]:
            message = "%s does not start: %s" % (entry["program"], entry["broken"])
            found.append(problem("MADENGINE_BROKEN", host, message))
        elif versions[host] != usual:
            said = entry["version"] or "of no known version"
            found.append(
                problem("MADENGINE_MIXED", host, "madengine is %s, most nodes have version %s" % (said, usual))
            )
        if not entry["runtime"]:
            found.append(problem("RUNTIME_MISSING", host, "no docker on the PATH"))
        elif entry["trouble"]:
            found.append(problem("RUNTIME_UNUSABLE", host, "docker cannot be used: %s" % entry["trouble"]))
        if not entry["gpu_tool"]:
            found.append(problem("GPU_TOOL_MISSING", host, "none of rocm-smi, amd-smi and nvidia-smi on the PATH"))
        for container in entry["containers"]:
            if not is_replaced(container, replace):
                of = " of run %s" % container["run_id"] if container["run_id"] else ""
                message = "container %s%s is left, created %s" % (container["name"], of, container["created"] or "?")
                found.append(problem("CONTAINER_LEFT", host, message, _remedy(container)))
    if versions and usual is None:
        found.append(problem("MADENGINE_UNKNOWN", None, "madengine does not say its version"))
    return found


def is_replaced(container: Dict[str, Any], replace: Sequence[str]) -> bool:
    """Tell whether a container may be removed."""
    return container["name"] in replace or ("" in replace and container["run_id"] is not None)


def _remedy(container: Dict[str, Any]) -> str:
    return (
        "--replace-containers" if container["run_id"] else "--replace-containers %s, if it is yours" % container["name"]
    )


def overridden(context: Dict[str, Any]) -> List[Problem]:
    """Say which of the user's own values count, and which do not."""
    own = context.get("multi_node_args") or {}
    found = [
        problem("CONTEXT_REPLACED", None, "%s of the additional context is the plan's to decide" % key)
        for key in RANKS
        if key in own
    ]
    kept = ", ".join(sorted(set(own) - set(RANKS)))
    if kept:
        found.append(problem("CONTEXT_KEPT", None, "%s of the additional context is kept as it is" % kept))
    return found


def context(own: Dict[str, Any], chosen: Dict[str, Any], run_id: str) -> Dict[str, Any]:
    """
    Merge a node's values with the user's own context.

    Args:
        own: The user's; its values win, but for ranks.
        chosen: ``multi_node_args`` of this node; numbers are numbers, since madengine multiplies them.
    """
    given = dict(own.get("multi_node_args") or {})
    for key in RANKS:
        given.pop(key, None)
    variables = {**(own.get("docker_env_vars") or {}), "MADCTL_RUN_ID": run_id}
    return {**own, "multi_node_args": {**chosen, **given}, "docker_env_vars": variables}


def argv(
    program: str, tags: Sequence[str], merged: Dict[str, Any], mirror: Optional[str], more: Sequence[Any]
) -> List[Any]:
    """
    Write madengine's command line; the context is one word, a Python literal.

    Args:
        mirror: Where data is mirrored to, on storage that was proven to be shared.
        more: The user's further words.
    """
    words: List[Any] = [program, "run", "--tags", *tags, "--additional-context", repr(merged)]
    if mirror:
        words += ["--force-mirror-local", mirror]
    if "--live-output" not in more:
        words.append("--live-output")
    if "--timeout" not in more:
        words += ["--timeout", "0"]  # By itself it would end a model after two hours; --timeout of madctl is for that.
    return [*words, *more]


def environment(runner: Dict[str, Any], node_rank: int) -> Dict[str, str]:
    """Write what version 2 forwards into its container, beside what every job gets."""
    words = [
        *("torchrun", "--nnodes", str(runner["NNODES"]), "--node_rank", str(runner["NODE_RANK"])),
        *("--nproc_per_node", str(runner["MAD_RUNTIME_NGPUS"])),
        *("--master_addr", str(runner["MASTER_ADDR"]), "--master_port", str(runner["MASTER_PORT"])),
    ]
    metrics = {} if node_rank == 0 else {"MAD_COLLECT_METRICS": "false"}
    return {"MAD_MULTI_NODE_RUNNER": " ".join(words), **metrics}

# SPDX-License-Identifier: Apache-2.0
"""
Write madengine's command line for every node, and judge what it needs there. Pure; private to the collection.

Version 1 reads ``multi_node_args`` of its additional context; version 2 ignores them and forwards some
variables of its environment into the container. To give both to either is safe. One that does not say its version
is taken for version 1, which needs more care.
"""

from __future__ import annotations

import re
import shlex
from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem, problem
from ansible_collections.madctl.multinode.plugins.module_utils._common.fact_shapes import Container, Facts, Nodes
from ansible_collections.madctl.multinode.plugins.module_utils._common.raw_words import Word
from ansible_collections.madctl.multinode.plugins.module_utils._request import madengine_options

# Nobody can choose these for one node without being wrong on another.
RANKS = ("NNODES", "NODE_RANK")
# By itself madengine ends a model after two hours; 0 is no limit to some versions, and to others it means at once.
FOREVER_SECONDS = 31536000


def major(version: Optional[str]) -> Optional[int]:
    """Read the major version out of what madengine says of itself."""
    match = re.search(r"(\d+)\.\d+", version or "")
    return int(match.group(1)) if match else None


def _version_of(fact: Facts) -> Optional[str]:
    found = fact.get("madengine")
    return found["version"] if found else None


def usual(facts: Sequence[Facts]) -> Optional[str]:
    """Name the version that most nodes have, of those that say it."""
    found = [_version_of(fact) for fact in facts]
    majors = [major(version) for version in found if major(version)]
    most = max(majors, key=majors.count) if majors else None
    return next((version for version in found if most and major(version) == most), None)


def major_of(fact: Facts, facts: Sequence[Facts]) -> Optional[int]:
    """Tell a node's major version; one that does not say it is taken to be what the others are."""
    return major(_version_of(fact)) or major(usual(facts))


def judge(nodes: Nodes, replace: Sequence[str], image: Optional[str] = None) -> List[Problem]:
    """
    Find what stands against models on these nodes.

    Args:
        replace: Containers that may be removed, by name; an empty name is every one that carries a run's id.
        image: The image that was asked for, after which a container is named too.
    """
    found: List[Problem] = []
    facts_of = dict(nodes)
    known = [(host, facts.get("madengine")) for host, facts in nodes]
    most = usual([facts for _, facts in nodes])
    for host, entry in known:
        if entry is None:
            found.append(problem("MADENGINE_HUNG", host, "madengine could not be looked for"))
            continue
        if not entry["program"]:
            found.append(problem("MADENGINE_MISSING", host, "no madengine beside the job's Python or on the PATH"))
        elif entry["broken"]:
            message = "%s does not start: %s" % (entry["program"], entry["broken"])
            found.append(problem("MADENGINE_BROKEN", host, message))
        elif entry.get("silent"):
            message = "madengine did not say its version within a minute"
            found.append(problem("MADENGINE_HUNG", host, message, "try it there: %s --version" % entry["program"]))
        elif major(entry["version"]) is None:
            found.append(problem("MADENGINE_UNKNOWN", host, "madengine does not say its version"))
        elif major(entry["version"]) != major(most):
            message = "madengine is version %s here, and %s elsewhere" % (entry["version"], most)
            found.append(problem("MADENGINE_MIXED", host, message))
        if not entry["runtime"]:
            found.append(problem("RUNTIME_MISSING", host, "no docker on the PATH"))
        elif entry["trouble"]:
            found.append(problem("RUNTIME_UNUSABLE", host, "docker cannot be used: %s" % entry["trouble"]))
        if not entry["gpu_tool"]:
            found.append(problem("GPU_TOOL_MISSING", host, "none of rocm-smi, amd-smi and nvidia-smi on the PATH"))
        for container in entry["containers"]:
            if not is_replaced(container, replace) and is_in_the_way(container["name"], facts_of[host], image):
                of = " of run %s" % container["run_id"] if container["run_id"] else ""
                message = "container %s%s is left, created %s" % (container["name"], of, container["created"] or "?")
                found.append(problem("CONTAINER_LEFT", host, message, _remedy(container)))
    return found


def is_in_the_way(name: str, facts: Facts, image: Optional[str] = None) -> bool:
    """
    Tell whether a container keeps madengine from making its own.

    Version 1 looks for its name anywhere in the list of containers; what begins like one of madengine's is taken for
    a leftover, whoever's model it was.
    """
    if name.startswith(run_directory.CONTAINER_PREFIX):
        return True
    if major(_version_of(facts)) == 2:
        return False
    models = [model["name"].replace("/", "_").lower() for model in facts.get("models") or []]
    images = [str(image).replace("/", "_").replace(":", "_")] if image else []
    return not models or any(run_directory.CONTAINER_PREFIX + own in name for own in [*models, *images])


def is_replaced(container: Container, replace: Sequence[str]) -> bool:
    """Tell whether a container may be removed."""
    return container["name"] in replace or ("" in replace and container["run_id"] is not None)


def _remedy(container: Container) -> str:
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


def alone(nodes: Nodes) -> List[Problem]:
    """Warn of models whose scripts start no ranks of one world: every node would then run its own."""
    models = {model["name"]: model for _, facts in nodes[:1] for model in facts.get("models") or []}
    message = "model %s: nothing in %s mentions " + run_directory.RUNNER
    return [
        problem("MODEL_ALONE", None, message % (_shown(name), _shown(model["scripts"])))
        for name, model in models.items()
        if model["uses_runner"] is False and len(nodes) > 1
    ]


def merge(layers: Sequence[Dict[str, Any]], deep: bool) -> Dict[str, Any]:
    """Merge contexts as madengine does, later ones win: version 1 at all depths, version 2 at the first."""
    merged: Dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            both = deep and isinstance(value, dict) and isinstance(merged.get(key), dict)
            merged[key] = merge([merged[key], value], deep) if both else value
    return merged


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
    variables = {**(own.get("docker_env_vars") or {}), run_directory.RUN_ID: run_id}
    return {**own, "multi_node_args": {**chosen, **given}, "docker_env_vars": variables}


def argv(
    program: str,
    version: Optional[int],
    tags: Sequence[str],
    merged: Dict[str, Any],
    mirror: Optional[str],
    more: Sequence[Word],
    is_limited: bool = False,
) -> List[Word]:
    """
    Write madengine's command line; the context is one word, a Python literal.

    Args:
        version: The major one. Version 2 takes one tag an option, where version 1 would keep the last.
        mirror: Where data is mirrored to, on storage that was proven to be shared.
        more: The user's further words.
        is_limited: Whether a model's card has a timeout, which counts as it does by hand.
    """
    selected = [word for tag in tags for word in ("--tags", tag)] if version == 2 else ["--tags", *tags]
    words: List[Word] = [program, "run", *selected, "--additional-context", repr(merged)]
    if mirror:
        words += ["--force-mirror-local", mirror]
    if "--live-output" not in more:
        words.append("--live-output")
    if not is_limited and madengine_options.option(more, "--timeout") is None:
        words += ["--timeout", str(FOREVER_SECONDS)]  # --timeout of madctl is for that.
    return [*words, *more]


def unsafe(own: Dict[str, Any], tags: Sequence[str], mirror: Optional[str], env: Dict[str, Any]) -> List[Problem]:
    """
    Find what version 1 would paste into a shell line so that it breaks, or means something else.

    It writes values of variables between apostrophes, and mounts and names of images as they are. What goes to the
    model's script stands between double quotes of this node's shell, which substitutes commands there.
    """
    quoted = [(name, value) for name, value in env.items() if "MAD_SECRETS" in name or name == "BUILD_NUMBER"]
    variables = [(key, own.get(key)) for key in ("docker_env_vars", "docker_build_arg", "multi_node_args")]
    variables += [("tools", tool.get("env_vars")) for tool in _dicts(own.get("tools"))]
    named = [
        ("%s of %s" % (_shown(name), key), name, value) for key, given in variables for name, value in _items(given)
    ]
    quoted += [(where, value) for where, _, value in named]
    bare = [("the name of %s" % where, name) for where, name, _ in named]
    bare += [
        ("%s of docker_mounts" % _shown(name), "%s:%s" % (value, name))
        for name, value in _items(own.get("docker_mounts"))
    ]
    bare += [("docker_cpus", str(own.get("docker_cpus", "")).replace(" ", ""))]
    bare += [(key, own.get(key, "")) for key in ("MAD_CONTAINER_IMAGE", "SHM_SIZE")]
    bare += [("--force-mirror-local", mirror or "")]
    inner = [("tag %s" % _shown(tag), tag) for tag in tags]
    inner += [(key, own.get(key, "")) for key in ("model_args", "encapsulate_script")]
    scripts = [(key, script) for key in ("pre_scripts", "post_scripts", "tools") for script in _dicts(own.get(key))]
    inner += [(key, script.get(part, "")) for key, script in scripts for part in ("path", "args", "cmd")]
    return [
        *(_pasted(where, "an apostrophe") for where, value in quoted if "'" in str(value) or "\0" in str(value)),
        *(_pasted(where, "what a shell takes for more than text") for where, value in bare if not _PLAIN(str(value))),
        *(_pasted(where, "what ends or leaves its quotes") for where, value in inner if not _is_quotable(str(value))),
    ]


_PLAIN = re.compile(r"[\w@%+=:,./~$-]*\Z").match
_ESCAPING = re.compile(r"(?<!\\)(?:\\\\)*(?:\"|`|\$\()|\0|\n")


def _is_quotable(text: str) -> bool:
    try:
        shlex.split(text)
    except ValueError:
        return False
    return not _ESCAPING.search(text)


def _items(value: Any) -> Iterable[Tuple[Any, Any]]:
    return value.items() if isinstance(value, dict) else ()


def _shown(name: Any) -> str:
    return str(name) if str(name).isprintable() and name else repr(name)


def _dicts(value: Any) -> List[Dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _pasted(where: str, what: str) -> Problem:
    return problem("CONTEXT_UNSAFE", None, "%s holds %s, which version 1 of madengine cannot pass on" % (where, what))


def environment(runner: Dict[str, Any], nproc: int, node_rank: int) -> Dict[str, str]:
    """Write what version 2 forwards into its container, beside what every job gets."""
    words = [
        *("torchrun", "--nnodes", str(runner["NNODES"]), "--node_rank", str(runner["NODE_RANK"])),
        *("--nproc_per_node", str(nproc)),
        *("--master_addr", str(runner["MASTER_ADDR"]), "--master_port", str(runner["MASTER_PORT"])),
    ]
    metrics = {} if node_rank == 0 else {"MAD_COLLECT_METRICS": "false"}
    return {run_directory.RUNNER: " ".join(words), **metrics}

# SPDX-License-Identifier: Apache-2.0
"""Find nodes where madengine cannot run the models. Pure; private to the collection."""

from __future__ import annotations

from typing import Iterator, List, Optional, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem, problem
from ansible_collections.madctl.multinode.plugins.module_utils._common.fact_shapes import Container, Facts, Madengine
from ansible_collections.madctl.multinode.plugins.module_utils._plan.case import Case, Choices
from ansible_collections.madctl.multinode.plugins.module_utils._plan.checks.context import shown
from ansible_collections.madctl.multinode.plugins.module_utils._plan.runners import madengine

_Finding = Tuple[str, str, Optional[str]]  # code, message, and perhaps a specific remedy


def judge(case: Case, _: Choices) -> List[Problem]:
    """Return what prevents madengine on these nodes, and models that would run a separate world on each."""
    most = madengine.usual(case.facts)
    image = madengine.merge(case.request.additional_context, False).get("MAD_CONTAINER_IMAGE")
    found: List[_Finding] = []
    problems = []
    for host, facts in case.nodes:
        entry = facts.get("madengine")
        if entry is None:
            found = [("MADENGINE_HUNG", "madengine could not be inspected", None)]
        else:
            found = [*_program(entry, most), *_tools(entry)]
            found += [
                _left(container)
                for container in entry["containers"]
                if not madengine.is_replaced(container, case.request.replace_containers)
                and _is_in_the_way(container["name"], facts, image)
            ]
        problems += [problem(code, host, message, remedy) for code, message, remedy in found]
    return problems + _alone(case)


def _program(entry: Madengine, most: Optional[str]) -> Iterator[_Finding]:
    program, version = entry["program"], entry["version"]
    if not program:
        yield "MADENGINE_MISSING", "madengine not found next to the job's Python or on the PATH", None
    elif entry["broken"]:
        yield "MADENGINE_BROKEN", "%s does not start: %s" % (program, entry["broken"]), None
    elif entry["silent"]:
        message = "madengine did not print its version within a minute"
        yield "MADENGINE_HUNG", message, "try it there: %s --version" % program
    elif madengine.major(version) is None:
        yield "MADENGINE_UNKNOWN", "madengine does not print its version", None
    elif madengine.major(version) != madengine.major(most):
        yield "MADENGINE_MIXED", "madengine is version %s, most nodes have %s" % (version, most), None


def _tools(entry: Madengine) -> Iterator[_Finding]:
    if not entry["runtime"]:
        yield "RUNTIME_MISSING", "docker not found on the PATH", None
    elif entry["trouble"]:
        yield "RUNTIME_UNUSABLE", "docker does not work: %s" % entry["trouble"], None
    if not entry["gpu_tool"]:
        yield "GPU_TOOL_MISSING", "none of rocm-smi, amd-smi and nvidia-smi on the PATH", None


def _left(container: Container) -> _Finding:
    name, run_id, created = container["name"], container["run_id"], container["created"] or "?"
    message = "container %s%s was left behind, created %s" % (name, " of run %s" % run_id if run_id else "", created)
    return "CONTAINER_LEFT", message, "--replace-containers" + ("" if run_id else " %s, if it is yours" % name)


def _is_in_the_way(name: str, facts: Facts, image: Optional[str]) -> bool:
    """
    Return whether a container keeps madengine from creating its own, which is named after the same image.

    Version 1 looks for that name anywhere in the list of containers; any name with a prefix of madengine's is treated
    as a leftover, whatever its model.
    """
    if name.startswith(run_directory.CONTAINER_PREFIX):
        return True
    if madengine.major(madengine.version_of(facts)) == 2:
        return False
    models = [model["name"].replace("/", "_").lower() for model in facts.get("models") or []]
    images = [str(image).replace("/", "_").replace(":", "_")] if image else []
    return not models or any(run_directory.CONTAINER_PREFIX + own in name for own in [*models, *images])


def _alone(case: Case) -> List[Problem]:
    """Warn about models whose scripts do not start the ranks of one world."""
    models = {model["name"]: model for model in case.facts[0].get("models") or []}
    message = "model %s: nothing in %s mentions " + run_directory.RUNNER
    return [
        problem("MODEL_ALONE", None, message % (shown(name), shown(model["scripts"])))
        for name, model in models.items()
        if model["uses_runner"] is False and len(case.hosts) > 1
    ]

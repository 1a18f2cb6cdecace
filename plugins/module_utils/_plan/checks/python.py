# SPDX-License-Identifier: Apache-2.0
"""Choose the job's Python on every node. Pure; private to the collection."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Dict, List, NamedTuple, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common import command_line
from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem, problem
from ansible_collections.madctl.multinode.plugins.module_utils._common.fact_shapes import Facts, Report
from ansible_collections.madctl.multinode.plugins.module_utils._plan.case import Case, Choices, Chosen


class _Interpreter(NamedTuple):
    path: Optional[str]
    exists: bool
    report: Optional[Report]


def choose(case: Case, choices: Choices) -> Chosen:
    """Choose the requested Python, otherwise every node's own if that is allowed, and use its report."""
    request, known = case.request, [(_interpreter(fact, "wanted"), _interpreter(fact, "own")) for fact in case.facts]
    if not case.job.uses_python:
        # The work itself starts Python.
        anything = [str(wanted.path if wanted.exists else own.path or "python3") for wanted, own in known]
        return replace(choices, pythons=anything, reports=[None] * len(known)), []
    found: List[Problem] = []
    chosen = [wanted for wanted, _ in known]
    missing = [host for host, one in zip(case.hosts, chosen) if not one.exists]
    required = [host for host in missing if request.python_required or request.python_of(host) != request.python]
    found = [problem("PYTHON_MISSING", host, "no Python at %s" % request.python_of(host)) for host in required]
    is_own = [False] * len(known)
    if len(missing) > len(required):
        # Nodes that were given their own Python keep it.
        is_own = [request.python_of(host) == request.python for host in case.hosts]
        chosen = [own if free else wanted for (wanted, own), free in zip(known, is_own)]
        if request.python:
            message = "%s is not on every node: each uses its own python3" % request.python
            found.append(problem("PYTHON_DIFFERS", None, message))
    for host, one, free in zip(case.hosts, chosen, is_own):
        found += _faults(case, host, one, free)
    return replace(choices, pythons=[str(one.path) for one in chosen], reports=[one.report for one in chosen]), found


def _interpreter(fact: Facts, which: str) -> _Interpreter:
    """Return the Python that was ``wanted``, or the node's ``own``."""
    python: Dict[str, Any] = {**(fact["python"] or {})}
    return _Interpreter(python.get(which), python.get(which + "_exists", False), python.get(which + "_report"))


def _faults(case: Case, host: str, one: _Interpreter, is_own: bool) -> List[Problem]:
    """Return the problem of a node's Python, in a list of at most one; a missing one was requested by its path."""
    named = command_line.named_python(case.request.work)
    if not one.exists:
        return [problem("PYTHON_MISSING", host, "python3 not found")] if is_own else []
    if one.report is None:
        return [problem("PYTHON_MISSING", host, "%s does not answer" % one.path)]
    if case.ranks.needs_torch and not one.report["torch"]:
        return [problem("TORCH_MISSING", host, "torch is not installed for %s" % one.path)]
    if not _is_version(named, one.report["version"]):
        message = "the job's Python is %s, the work begins with %s" % (one.report["version"], named)
        return [problem("PYTHON_MISSING", host, message)]
    return []


def _is_version(named: Optional[str], version: str) -> bool:
    """Return whether a Python of a version has a name such as python3.11; a path is accepted as it is."""
    if not named or "/" in named:
        return True
    return (version + ".").startswith(named[len("python") :].rstrip(".") + "." if named != "python" else "")

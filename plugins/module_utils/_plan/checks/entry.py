# SPDX-License-Identifier: Apache-2.0
"""
Choose every node's working directory, and find nodes that lack the job's script, program or module.

Pure; private to the collection.
"""

from __future__ import annotations

from dataclasses import replace
from typing import List, Optional, Sequence, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import command_line
from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem, problem
from ansible_collections.madctl.multinode.plugins.module_utils._common.fact_shapes import Files
from ansible_collections.madctl.multinode.plugins.module_utils._plan.case import Case, Choices, Chosen
from ansible_collections.madctl.multinode.plugins.module_utils._plan.comparison import odd_ones

_Seen = Sequence[Tuple[str, Files]]


def choose(case: Case, choices: Choices) -> Chosen:
    """Choose the requested directory if every node has it, otherwise home directories if that is allowed."""
    request = case.request
    at_home = replace(choices, cwds=[facts["home"] for facts in case.facts])
    hung = [host for host, facts in case.nodes if facts["files"] is None]
    if hung:
        place = request.chdir or "the working directory"
        return at_home, [problem("ENTRY_HUNG", host, "%s does not answer" % place) for host in hung]
    seen = [(host, facts["files"]) for host, facts in case.nodes if facts["files"]]
    found = _entries(case, seen, choices)
    if request.code:
        at_code = replace(choices, cwds=[case.code_dir(rank) for rank in range(len(case.hosts))])
        return at_code, [*_without_directory(request.chdir, seen), *found]
    if request.chdir is None:
        return at_home, found
    without = [host for host, own in seen if not own["chdir_exists"]]
    if not without:
        return replace(choices, cwds=[request.chdir] * len(case.hosts)), found
    message = "directory %s not found" % request.chdir
    if request.chdir_required:
        return at_home, _without_directory(request.chdir, seen)
    relative = command_line.relative(request.work, request.shape)
    if relative is not None:
        remedy = "send it: --sync DIR; or put it where every node has it, or give its absolute path, or --chdir"
        return at_home, [
            problem("ENTRY_MISSING", host, "%s, so no %s" % (message, relative), remedy) for host in without
        ]
    message = "%s is not on every node: the job runs in the home directory" % request.chdir
    return at_home, [problem("CHDIR_HOME", None, message), *found]


def _without_directory(directory: Optional[str], seen: _Seen) -> List[Problem]:
    message = "directory %s not found" % (directory or "with the code")
    return [problem("CHDIR_MISSING", host, message) for host, own in seen if not own["chdir_exists"]]


def _entries(case: Case, seen: _Seen, choices: Choices) -> List[Problem]:
    """Find nodes that lack the script, the program or the module, and programs that cannot be executed."""
    work, shape = case.request.work, case.request.shape
    script, program, module = (
        find(work, shape) for find in (command_line.entry_script, command_line.program, command_line.module)
    )
    found: List[Problem] = []
    # Work without ranks of its own is started only on nodes where the runner itself is.
    only_first = bool(case.ranks.daemons) and not case.job.counts_ranks
    for host, own in seen[:1] if only_first else seen:
        if own["entry_exists"] is False:
            found.append(problem("ENTRY_MISSING", host, "file %s not found" % script))
        found += _program(host, program, own["program_fault"])
    for host, report in zip(case.hosts, choices.reports):
        if module and report and report.get("module") is False:
            message = "the job's Python does not find module %s" % module
            found.append(problem("ENTRY_MISSING", host, message, "install it there, or give --chdir its directory"))
    if case.job.compares_entry:
        text = "the script differs from the one on most nodes"
        others = odd_ones(seen, lambda own: own["entry_sha256"])
        found += [problem("ENTRY_DIFFERS", host, text) for host, _, _ in others]
    return found


def _program(host: str, name: Optional[str], fault: Optional[str]) -> List[Problem]:
    """Report a program that cannot be executed, according to a node."""
    if name is None or fault is None:
        return []
    if fault == "does not exist" or fault.startswith("is not on the PATH"):
        remedy = "write ./%s, or give its path" % name if "working directory" in fault else None
        return [problem("ENTRY_MISSING", host, "%s %s" % (name, fault), remedy)]
    remedy = "give a program" if fault == "is a directory" else "chmod +x %s, or write: bash %s" % (name, name)
    if fault.startswith(("has", "wants")):
        remedy = "correct its first line, or write what runs it: bash %s" % name
    return [problem("ENTRY_UNUSABLE", host, "%s %s" % (name, fault), remedy)]

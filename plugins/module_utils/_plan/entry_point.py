# SPDX-License-Identifier: Apache-2.0
"""
Judge where the job works, and whether nodes have what it begins with: a script, a program, a module.

Pure; private to the collection.
"""

from __future__ import annotations

from typing import List, Optional, Sequence, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import command_line
from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem, problem
from ansible_collections.madctl.multinode.plugins.module_utils._common.fact_shapes import Files, Nodes, Report
from ansible_collections.madctl.multinode.plugins.module_utils._plan import checks
from ansible_collections.madctl.multinode.plugins.module_utils._request.request import Request

Reports = Sequence[Optional[Report]]
_Looked = Sequence[Tuple[str, Files]]


def files(request: Request, nodes: Nodes, reports: Reports) -> Tuple[List[str], List[Problem]]:
    """
    Choose the working directory of every node, and look for what the job begins with in it.

    Args:
        reports: What the job's Python says of itself on each node.
    """
    relative = command_line.relative(request.work, request.shape)
    homes = [facts["home"] for _, facts in nodes]
    hung = [host for host, facts in nodes if facts["files"] is None]
    if hung:
        return homes, [problem("ENTRY_HUNG", host, "%s does not answer" % request.chdir) for host in hung]
    looked = [(host, facts["files"]) for host, facts in nodes if facts["files"]]
    without = [host for host, own in looked if not own["chdir_exists"]]
    found = _entries(request, looked, reports)
    if request.chdir is None:
        return homes, found
    if not without:
        return [request.chdir for _ in nodes], found
    if request.chdir_required:
        return homes, [problem("CHDIR_MISSING", host, "no directory %s" % request.chdir) for host in without]
    if relative is not None:
        message = "no directory %s, so no %s" % (request.chdir, relative)
        remedy = "put it where every node has it, give its absolute path, or --chdir"
        return homes, [problem("ENTRY_MISSING", host, message, remedy) for host in without]
    message = "%s is not on every node: the job runs in the home directory" % request.chdir
    return homes, [problem("CHDIR_HOME", None, message), *found]


def _entries(request: Request, nodes: _Looked, reports: Reports) -> List[Problem]:
    """Find nodes that lack the script, the program or the module, and programs that cannot be executed."""
    # mpirun runs a command on the first node only.
    taken = nodes[:1] if request.shape == "command" and request.runner == "mpirun" else nodes
    script, program = (look(request.work, request.shape) for look in (command_line.entry_script, command_line.program))
    module = command_line.module(request.work, request.shape)
    found: List[Problem] = []
    for host, own in taken:
        if own["entry_exists"] is False:
            found.append(problem("ENTRY_MISSING", host, "no file %s" % script))
        found += _program(host, program, own.get("program_fault"))
    for (host, _), report in zip(nodes, reports):
        if module and report and report.get("module") is False:
            message = "the job's Python finds no module %s" % module
            found.append(problem("ENTRY_MISSING", host, message, "install it there, or give --chdir its place"))
    return found if request.shape == "command" else found + _other_bytes(nodes)


def _program(host: str, name: Optional[str], fault: Optional[str]) -> List[Problem]:
    """Say what stands against executing a program, by what a node found out of it."""
    if name is None or fault is None:
        return []
    if fault == "does not exist" or fault.startswith("is not on the PATH"):
        remedy = "write ./%s, or give its path" % name if "working directory" in fault else None
        return [problem("ENTRY_MISSING", host, "%s %s" % (name, fault), remedy)]
    remedy = "give a program" if fault == "is a directory" else "chmod +x %s, or write: bash %s" % (name, name)
    if fault.startswith(("has", "wants")):
        remedy = "correct its first line, or write what runs it: bash %s" % name
    return [problem("ENTRY_UNUSABLE", host, "%s %s" % (name, fault), remedy)]


def _other_bytes(nodes: _Looked) -> List[Problem]:
    """Find nodes whose script has other bytes."""
    found = checks.odd("ENTRY_DIFFERS", nodes, lambda own: own.get("entry_sha256"), "script")
    return [{**entry, "message": "the script is another one than on most nodes"} for entry in found]

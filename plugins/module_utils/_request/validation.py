# SPDX-License-Identifier: Apache-2.0
"""
Refuse invalid requests without contacting any node, with the same messages for madctl's options and playbooks'
variables.

Pure; private to the collection.
"""

from __future__ import annotations

import operator
import os
import re
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import (
    command_line,
    filesystems,
    launchers,
    raw_words,
    runners,
)
from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem, problem
from ansible_collections.madctl.multinode.plugins.module_utils._request import hostlist, kinds, madengine_options
from ansible_collections.madctl.multinode.plugins.module_utils._request.variables import BY_NAME, OF_HOSTS, Row

# The plan decides how many ranks there are, on which nodes, and how those are reached.
_MPI_RESERVED = re.compile(
    r"--?(np?|N|c|host|H|hostfile|machinefile|hosts|f|ppn|perhost|n?pernode|npersocket|app|configfile"
    r"|launcher(-exec)?|prefix)(=.*)?$",
    re.DOTALL,
)
_PRINTS_ONLY = {"-V", "-VV", "--version", "-h", "--help"}
# The name of a row on the command line, and in playbooks.
as_option, as_variable = operator.attrgetter("spoken"), operator.attrgetter("variable")


def parsed(given: Dict[str, Any]) -> Tuple[Dict[str, Any], List[Problem]]:
    """Parse variables of a playbook; an empty one counts as not set, and what is not in the table is kept unchanged."""
    found: Dict[str, Any] = {}
    problems = []
    for name, value in given.items():
        row = BY_NAME.get(name)
        try:
            if value is not None and value != "":
                found[name] = row.parse(value) if row else value
        except kinds.UnfitError as error:
            assert row is not None
            close = kinds.meant(str(error.value), row.kind.known)
            problems.append(problem("USAGE", None, row.kind.refusal(row.variable, error.value), close))
    return found, problems


def contradictions(given: Dict[str, Any], named: Callable[[Row], str] = as_variable) -> List[Problem]:
    """Find values of a launch that are valid alone but not together."""
    shape, env = given.get("shape", runners.shapes()[0]), given.get("env") or {}
    found = work(given.get("work") or [], shape, given.get("python"))
    for word in filter(_MPI_RESERVED.match, given.get("mpi_args") or []):
        message = "%s: %s is set by madctl" % (named(BY_NAME["mpi_args"]), word)
        found.append(problem("MPI_ARGS_RESERVED", None, message, "leave it out"))
    if runners.job_of(shape).has_models:
        words = [raw_words.unpack(word) for word in given.get("work") or []]
        refusals = madengine_options.refused(given.get("tags") or [], words)
        found += [problem("USAGE", None, message, remedy) for message, remedy in refusals]
        if "MODEL_DIR" in env and raw_words.unpack(env["MODEL_DIR"]) != given.get("chdir"):
            message = "MODEL_DIR is not passed on to madengine"
            found.append(problem("USAGE", None, message, "set %s to it" % named(BY_NAME["chdir"])))
    ranks = runners.ranks_by(given.get("runner") or runners.names()[0])
    if given.get("gpus") == "per-node" and not ranks.takes_unequal:
        message = "%s needs the same number of processes on every node" % ranks.called
        found.append(problem("USAGE", None, message, "--gpus min"))
    return found


def work(words: Sequence[Any], shape: str, python: Optional[str] = None) -> List[Problem]:
    """
    Check the work of ranks.

    Args:
        words: The user's own words.
        python: The requested path of the job's Python.
    """
    plain = [raw_words.unpack(word) for word in words]
    if any("\0" in word for word in plain):
        return [problem("WORK_INVALID", None, "an argument contains a NUL byte")]
    if plain[:1] == [""]:
        return [problem("WORK_MISSING", None, "the script is an empty word", "is a variable of your shell not set?")]
    if not runners.job_of(shape).uses_python or not words:
        return []
    inner = launchers.launcher(plain)
    if inner:
        message = "%s starts processes itself, and so does madctl: every rank would start its own job"
        name = inner[0].rpartition("/")[2]
        return [problem("WORK_IS_LAUNCHER", None, message % name, launchers.instead(inner))]
    named = command_line.named_python(plain)
    if named and launchers.python_target(plain[1:])[0] == "nothing" and not set(plain[1:]) & _PRINTS_ONLY:
        return [problem("WORK_MISSING", None, "%s has nothing to run" % named, "write: %s train.py" % named)]
    if named and named.startswith("/") and python and os.path.normpath(named) != os.path.normpath(python):
        message = "two Pythons for one job: %s, and the work begins with %s" % (python, named)
        return [problem("USAGE", None, message, "leave one of them out")]
    return []


def judge_hosts(hosts: Dict[str, Any]) -> List[Problem]:
    """Find invalid names of hosts in an inventory, and invalid values among their variables."""
    found = [hostlist.hostile(host).problem for host in hosts if not hostlist.is_name(host)]
    for host, variables in hosts.items():
        for row in OF_HOSTS:
            value = variables.get(row.variable)
            try:
                value is None or row.parse(value)
            except kinds.UnfitError:
                message = row.kind.refusal(row.variable, value)
                found.append(problem("USAGE", host, message, "fix the inventory"))
    return found


def mirrored(paths: Sequence[str], mirror: Optional[str]) -> List[str]:
    """Add the path that data is mirrored to, which must also be shared, unless a path above it is checked anyway."""
    known = [path[:-3] if path.endswith(":ro") else path for path in paths]
    if not mirror or any(filesystems.is_below(mirror, path) for path in known):
        return list(paths)
    return [*paths, mirror]

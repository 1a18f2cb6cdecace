# SPDX-License-Identifier: Apache-2.0
"""
Refuse what no node is needed to refuse in the variables of a playbook, as madctl does in its options.

Pure; private to the collection.
"""

from __future__ import annotations

import ipaddress
import os
import re
from typing import Any, Callable, Dict, List, Optional, Sequence

from ansible_collections.madctl.multinode.plugins.module_utils._common import (
    catalog,
    command_line,
    launchers,
    raw_words,
    runners,
)
from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem, problem
from ansible_collections.madctl.multinode.plugins.module_utils._common.whole_numbers import number
from ansible_collections.madctl.multinode.plugins.module_utils._request import hostlist, madengine_options

_MOST = 4096
_NUMBERS = {"madctl_slots": (1, hostlist.MAX_SLOTS), "madctl_node_rank": (0, 10**9)}
# How many ranks, on which nodes, and how they are reached is the plan's.
_MPI_RESERVED = re.compile(
    r"--?(np?|N|c|host|H|hostfile|machinefile|hosts|f|ppn|perhost|n?pernode|npersocket|app|configfile"
    r"|launcher(-exec)?|prefix)(=.*)?$",
    re.DOTALL,
)


def judge(given: Dict[str, Any]) -> List[Problem]:
    """Find what cannot be meant among the arguments of a plan, by their names."""
    found = [
        problem("USAGE", None, "%s takes %s, not %r" % (name, wanted, given[name]), "set madctl_%s" % name)
        for name, wanted in _WANTED.items()
        if given.get(name) not in (None, "") and not _CHECKS[name](str(given[name]))
    ]
    found += work(given.get("work") or [], str(given.get("shape") or runners.shapes()[0]), given.get("python"))
    for name, known in (("skip", catalog.SKIPPABLE), ("only", catalog.NAMES)):
        ordered = ", ".join(check for check in catalog.NAMES if check in known)
        wrong = [check for check in given.get(name) or [] if check not in known]
        found += [
            problem("USAGE", None, "%s takes some of %s, not %r" % (name, ordered, check), "set madctl_%s" % name)
            for check in wrong
        ]
    for path in given.get("shared_paths") or []:
        if not str(path).startswith("/"):
            found.append(problem("USAGE", None, "%r is no absolute path" % str(path), "set madctl_shared_paths"))
    for name in given.get("env") or {}:
        if not str(name).isidentifier():
            found.append(problem("USAGE", None, "%r is no name of a variable" % str(name), "set madctl_env"))
    for word in reserved([str(word) for word in given.get("mpi_args") or []]):
        found.append(problem("MPI_ARGS_RESERVED", None, "%s is the plan's to decide" % word, "leave it out"))
    if runners.job_of(str(given.get("shape"))).has_models:
        found += _models(given)
    ranks = runners.ranks_by(given.get("runner") or runners.names()[0])
    if given.get("gpus") == "per-node" and not ranks.takes_unequal:
        message = "%s needs the same number of processes on every node" % ranks.called
        found.append(problem("USAGE", None, message, "set madctl_gpus to min"))
    return found


def reserved(words: Sequence[str]) -> List[str]:
    """Give the words of mpirun's options that the plan alone decides on."""
    return [word for word in words if _MPI_RESERVED.match(word)]


def _models(given: Dict[str, Any]) -> List[Problem]:
    words = [raw_words.unpack(word) for word in given.get("work") or []]
    refused = madengine_options.refused(given.get("tags") or [], words)
    remedy = "set madctl_tags and the other variables, or leave it out of madctl_work"
    found = [problem("USAGE", None, message, remedy) for message, _ in refused]
    checkout = (given.get("env") or {}).get("MODEL_DIR")
    if checkout is not None and raw_words.unpack(checkout) != given.get("chdir"):
        found.append(problem("USAGE", None, "MODEL_DIR is not passed on to madengine", "set madctl_chdir to it"))
    return found


def work(words: Sequence[Any], shape: str, python: Optional[str] = None) -> List[Problem]:
    """
    Find what cannot be meant as work that ranks are to run.

    Args:
        words: The user's own.
        python: The path that was asked for as the job's Python.
    """
    if not runners.job_of(shape).uses_python or not words:
        return []
    plain = [raw_words.unpack(word) for word in words]
    inner = launchers.launcher(plain)
    if inner:
        message = "%s starts processes itself, and so does madctl: every rank would be a job of its own"
        name = inner[0].rpartition("/")[2]
        return [problem("WORK_IS_LAUNCHER", None, message % name, launchers.instead(inner))]
    named = command_line.named_python(plain)
    if named and launchers.python_target(plain[1:])[0] == "nothing" and not set(plain[1:]) & _SAYS_ONLY:
        return [problem("WORK_MISSING", None, "%s is given nothing to run" % named, "write: %s train.py" % named)]
    if named and named.startswith("/") and python and os.path.normpath(named) != os.path.normpath(python):
        message = "two Pythons for one job: %s, and the work begins with %s" % (python, named)
        return [problem("USAGE", None, message, "leave one of them out")]
    return []


_SAYS_ONLY = {"-V", "-VV", "--version", "-h", "--help"}


def judge_hosts(hosts: Dict[str, Any]) -> List[Problem]:
    """Find what cannot be meant in an inventory: names of hosts, and the numbers among their variables."""
    found = [hostlist.hostile(host).problem for host in hosts if not hostlist.is_name(host)]
    for host, variables in hosts.items():
        for name, (least, most) in _NUMBERS.items():
            value = variables.get(name)
            if value is not None and number(str(value), least, most) is None:
                message = "%s takes a number from %d to %d, not %r" % (name, least, most, str(value))
                found.append(problem("USAGE", host, message, "correct the inventory"))
    return found


def _is_interface(text: str) -> bool:
    if "/" not in text:
        return len(text) <= 15 and not text.startswith("-")
    return _is(ipaddress.ip_network, text, strict=False)


def _is(make: Any, text: str, **more: Any) -> bool:
    try:
        make(text, **more)
    except ValueError:
        return False
    return True


def _seconds(text: str) -> bool:
    return _is(float, text) and 0 < float(text) < 1e9


def _seconds_or_none(text: str) -> bool:
    return _seconds(text) or (_is(float, text) and float(text) == 0)


_CHECKS: Dict[str, Callable[[str], bool]] = {
    "shape": lambda text: text in runners.shapes(),
    "runner": lambda text: text in runners.names(),
    "nproc_per_node": lambda text: text in ("auto", "gpu") or number(text, 1, 1024) is not None,
    "gpus": lambda text: text in ("same", "min", "per-node"),
    "master_port": lambda text: text == "auto" or number(text, 1, 65535) is not None,
    "master_addr": lambda text: _is(ipaddress.ip_address, text),
    "interface": _is_interface,
    "mpirun": lambda text: text.startswith("/"),
    "force_mirror_local": lambda text: text.startswith("/"),
    "start_timeout": _seconds,
    "timeout": _seconds_or_none,
    "idle_timeout": _seconds_or_none,
    "grace": _seconds_or_none,
    "days": lambda text: _is(float, text) and 0 <= float(text) < 1e6,
    "log_cap": lambda text: number(text, 1, 1 << 60) is not None,
    "nnodes": lambda text: number(text, 0, _MOST) is not None,
    "max_restarts": lambda text: number(text, 0, _MOST) is not None,
}
_WANTED = {
    "shape": " or ".join(runners.shapes()),
    "runner": " or ".join(runners.names()),
    "nproc_per_node": "a number from 1, auto or gpu",
    "gpus": "same, min or per-node",
    "master_port": "a number from 1 to 65535, or auto",
    "master_addr": "an IP address of the first node",
    "interface": "a name or a network such as 10.0.0.0/24",
    "mpirun": "an absolute path",
    "force_mirror_local": "an absolute path",
    "start_timeout": "a positive number of seconds",
    "timeout": "a number of seconds, 0 for no limit",
    "idle_timeout": "a number of seconds, 0 for no limit",
    "grace": "a number of seconds",
    "days": "a number of days",
    "log_cap": "a number of bytes",
    "nnodes": "a number, 0 for all",
    "max_restarts": "a number from 0",
}


def listed(value: Any) -> List[Any]:
    """Take a list, or one text with commas as Ansible takes it for a list."""
    if value is None or value == "":
        return []
    return [word.strip() for word in value.split(",")] if isinstance(value, str) else list(value)


def mirrored(paths: Any, mirror: Optional[str]) -> List[str]:
    """Add what data is mirrored to, which must be shared too, unless it lies below a path that is checked anyway."""
    found = [str(path) for path in listed(paths)]
    known = [path[:-3] if path.endswith(":ro") else path for path in found]
    if not mirror or any((mirror + "/").startswith(path.rstrip("/") + "/") for path in known):
        return found
    return [*found, str(mirror)]

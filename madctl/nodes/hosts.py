# SPDX-License-Identifier: Apache-2.0
"""
Parse host lists as people write them. Their order is the order of ranks.

The parser is ``hostlist`` of the collection; this file adds the user's groups.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import reason
from ansible_collections.madctl.multinode.plugins.module_utils._request import exclusion, host_files, hostlist
from ansible_collections.madctl.multinode.plugins.module_utils._request.hostlist import Host
from madctl.errors import refused

_Found = TypeVar("_Found")


def from_list(text: str) -> list[Host]:
    """
    Parse ``gpu[01-16]``, ``a,b,c``, ``gpu[1-8/2]``, ``@group``, ``user@host:port``, IPv6 literals, ``gpu[1-8]!gpu3``.

    Raises:
        UsageError: If a part is empty, malformed, hostile or repeated.
    """
    return _read(lambda: hostlist.from_list(text, _group))


def remaining(names: Sequence[str], text: str) -> exclusion.Remaining:
    """
    Remove the hosts of a list from other hosts.

    Raises:
        UsageError: If the list is invalid, or no host is left.
    """
    return _read(lambda: exclusion.remaining(names, [text], _group))


def from_file(path: str) -> list[Host]:
    """
    Read a host file of a user or a scheduler: one ``name``, ``name slots=N`` or ``name:N`` per line.

    Raises:
        UsageError: If the file cannot be read or a line is invalid.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise refused("HOSTFILE_UNREADABLE", f"{path}: {reason(error)}") from error
    return _read(lambda: host_files.from_lines(text, path))


def from_environment(environment: Mapping[str, str] = os.environ) -> list[Host]:
    """
    Return the hosts that Slurm, PBS, LSF or SGE allocated to this job; nothing outside of a job.

    Raises:
        UsageError: If the scheduler's list is invalid.
    """
    given = {name: value for name, value in environment.items() if value}
    if nodes := given.get("SLURM_JOB_NODELIST"):
        return _read(lambda: hostlist.from_scheduler(nodes))
    if path := given.get("PBS_NODEFILE") or given.get("PE_HOSTFILE"):
        return from_file(path)
    found = _of_lsf(given)
    return found and host_files.without_launcher(found)


def _of_lsf(given: Mapping[str, str]) -> list[Host]:
    if path := given.get("LSB_DJOB_HOSTFILE"):
        return from_file(path)
    if pairs := given.get("LSB_MCPU_HOSTS"):
        return _read(lambda: host_files.from_pairs(pairs, "LSB_MCPU_HOSTS"))
    names = given.get("LSB_HOSTS", "").split()
    return _read(lambda: host_files.from_lines("\n".join(names), "LSB_HOSTS")) if names else []


def _group(text: str) -> list[str]:
    from madctl.nodes import groups

    return groups.nodes(text)


def _read(read: Callable[[], _Found]) -> _Found:
    try:
        return read()
    except hostlist.HostsError as error:
        found = error.problem
        raise refused(found["code"], found["message"], found["host"], found["remedy"]) from error

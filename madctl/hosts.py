# SPDX-License-Identifier: Apache-2.0
"""
Read host lists as people write them. Order given is rank order.

The collection's ``_hostlist`` reads them; groups, which are the user's own, are added here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from ansible_collections.madctl.multinode.plugins.module_utils import _hostlist
from ansible_collections.madctl.multinode.plugins.module_utils._hostlist import Host as Host
from madctl.errors import Problem, UsageError


def from_list(text: str) -> list[Host]:
    """
    Read ``gpu[01-16]``, ``a,b,c``, ``gpu[1-8/2]``, ``@group``, ``user@host:port`` and IPv6 literals.

    Raises:
        UsageError: If a part is empty, malformed, hostile or repeated.
    """
    return _read(lambda: _hostlist.from_list(text, _group))


def from_file(path: str) -> list[Host]:
    """
    Read a host file: one ``name``, ``name slots=N`` or ``name:N`` a line; ``#`` begins a comment.

    Raises:
        UsageError: If the file cannot be read or a line cannot be meant.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UsageError(Problem("HOSTFILE_UNREADABLE", f"{path}: {error}")) from error
    return _read(lambda: _hostlist.from_lines(text, path))


def from_environment(environment: Mapping[str, str] = os.environ) -> list[Host]:
    """Read Slurm's node list where there is one, else nothing."""
    text = environment.get("SLURM_JOB_NODELIST")
    return _read(lambda: _hostlist.from_scheduler(text)) if text else []


def _group(text: str) -> list[str]:
    from madctl import groups

    return groups.nodes(text)


def _read(read: Callable[[], list[Host]]) -> list[Host]:
    try:
        return read()
    except _hostlist.HostsError as error:
        found = error.problem
        raise UsageError(Problem(found["code"], found["message"], found["host"], found["remedy"])) from error

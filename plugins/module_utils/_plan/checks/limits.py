# SPDX-License-Identifier: Apache-2.0
"""Find nodes that run out of space, locked memory or open files. Pure; private to the collection."""

from __future__ import annotations

from typing import List, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem, problem
from ansible_collections.madctl.multinode.plugins.module_utils._common.fact_shapes import Facts
from ansible_collections.madctl.multinode.plugins.module_utils._plan.case import Case, Choices

GIB = 1 << 30
DISK_FULL_BYTES, DISK_FULL_INODES = 16 << 20, 64
NOFILE_LEAST = 4096


def judge(case: Case, _: Choices) -> List[Problem]:
    """Return what each node lacks."""
    return [problem(code, host, message) for host, facts in case.nodes for code, message in _lacking(facts)]


def _lacking(facts: Facts) -> List[Tuple[str, str]]:
    space, limit, found = facts["space"], facts["limits"], []
    if space is None:
        found.append(("RUN_DIR_UNWRITABLE", "the run directory does not answer"))
    elif not space["run_writable"]:
        found.append(("RUN_DIR_UNWRITABLE", "%s is not writable" % space["run_base"]))
    elif space["run_free"] < DISK_FULL_BYTES or (space["run_inodes_free"] or GIB) < DISK_FULL_INODES:
        free = (space["run_base"], size(space["run_free"]), space["run_inodes_free"])
        found.append(("DISK_FULL", "%s has %s and %s inodes free" % free))
    elif space["run_free"] < GIB:
        found.append(("DISK_LOW", "%s has %s free" % (space["run_base"], size(space["run_free"]))))
    if space and space["shm_free"] is not None and space["shm_free"] < GIB:
        found.append(("SHM_LOW", "/dev/shm has %s free" % size(space["shm_free"])))
    if facts["gpus"]["count"] and limit["memlock"] is not None:
        found.append(("MEMLOCK_LOW", "at most %s of memory can be locked" % size(limit["memlock"])))
    if limit["nofile"] is not None and limit["nofile"] < NOFILE_LEAST:
        found.append(("NOFILE_LOW", "at most %d open files" % limit["nofile"]))
    return found


def size(number: int) -> str:
    """Format a number of bytes for people."""
    for power, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if number >= 1 << power:
            return "%.3g %s" % (number / (1 << power), unit)
    return "%d B" % number

# SPDX-License-Identifier: Apache-2.0
"""What the end of a job means for its run, as problems of madctl."""

from __future__ import annotations

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes
from ansible_collections.madctl.multinode.plugins.module_utils._submit import ends
from madctl.errors import Problem
from madctl.jobs.slurm import State

waiting, estimate = ends.waiting, ends.estimate


def meaning(state: State) -> Problem | None:
    """Return the problem that a final state means for the run; None if it only follows from how the run ended."""
    found = ends.meaning(state)
    return _of(found) if found else None


def without_record(state: State, job_id: str, has_begun: bool, last_line: str) -> Problem:
    """Return why a run ended without writing a result."""
    return _of(ends.without_record(state, job_id, has_begun, last_line))


def _of(found: codes.Problem) -> Problem:
    return Problem(found["code"], found["message"], remedy=found["remedy"])

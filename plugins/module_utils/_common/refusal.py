# SPDX-License-Identifier: Apache-2.0
"""Why a job cannot be submitted, or a scheduler cannot be queried. Private."""

from __future__ import annotations

from typing import Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes


class Refused(Exception):  # noqa: N818  an answer of the scheduler or the machine, not an error of ours
    """A refusal has one problem, which is shown to the user; ``status`` is that of an answer over HTTP."""

    def __init__(self, code: str, message: str, remedy: Optional[str] = None, status: int = 0) -> None:
        self.problem = codes.problem(code, None, message, remedy)
        self.status = status
        super().__init__(codes.line(self.problem))

    @property
    def is_unreachable(self) -> bool:
        """Whether a retry may succeed in a moment."""
        return self.problem["code"] == "SCHEDULER_UNREACHABLE"

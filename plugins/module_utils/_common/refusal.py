# SPDX-License-Identifier: Apache-2.0
"""What keeps a job from being submitted, or a question to the scheduler from being answered. Private."""

from __future__ import annotations

from typing import Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes


class Refused(Exception):  # noqa: N818  an answer of the scheduler or the machine, not an error of ours
    """It has one problem, which is for the user; ``status`` is that of an answer over HTTP."""

    def __init__(self, code: str, message: str, remedy: Optional[str] = None, status: int = 0) -> None:
        self.problem = codes.problem(code, None, message, remedy)
        self.status = status
        super().__init__(codes.line(self.problem))

    @property
    def is_unreachable(self) -> bool:
        """Whether it may be different in a moment."""
        return self.problem["code"] == "SCHEDULER_UNREACHABLE"

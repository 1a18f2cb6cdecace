# SPDX-License-Identifier: Apache-2.0
"""
Measure what the stages of a command cost this machine, if the user asks for that.

Private to the collection.
"""

from __future__ import annotations

import os
import resource
import time
from typing import Any, Dict, List, Mapping

VARIABLE = "MADCTL_TIMING"


def _now() -> Dict[str, float]:
    """Return the time in seconds, and the processor time of this process and of children that ended in it."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    spent = {"own": own.ru_utime + own.ru_stime, "children": children.ru_utime + children.ru_stime}
    return {"seconds": time.monotonic(), **spent}


class Clock:
    """Measures one stage after the other from its creation on; does nothing unless it is on."""

    def __init__(self, first: str, is_on: bool = False) -> None:
        self.is_on = is_on
        self._name = first
        self._stages: List[Dict[str, Any]] = []
        self._since = _now() if is_on else {}

    def begin(self, name: str) -> None:
        """End the current stage, and begin the next."""
        self._end()
        self._name, self._since = name, _now() if self.is_on else {}

    def _end(self) -> None:
        if self._since:
            now = _now()
            self._stages.append({"name": self._name, **{key: now[key] - then for key, then in self._since.items()}})
            self._since = {}

    def stages(self) -> List[Dict[str, Any]]:
        """End the last stage, and return all stages as plain data; none if there was only one."""
        self._end()
        return self._stages if len(self._stages) > 1 else []


def is_wanted(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether the user asks for the measurement."""
    return environment.get(VARIABLE, "") not in ("", "0")

# SPDX-License-Identifier: Apache-2.0
"""
Measure what the stages of a command cost this machine, if its user asks for that.

Private to the collection.
"""

from __future__ import annotations

import os
import resource
import time
from dataclasses import asdict, dataclass
from typing import Any, Dict, List, Mapping, Optional, Tuple

VARIABLE = "MADCTL_TIMING"


@dataclass(frozen=True)
class Stage:
    """What one stage took: seconds, and the processor time of this process and of children that ended in it."""

    name: str
    seconds: float
    own: float
    children: float


_Times = Tuple[float, float, float]


def _now() -> _Times:
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return time.monotonic(), own.ru_utime + own.ru_stime, children.ru_utime + children.ru_stime


class Clock:
    """Measures one stage after the other, from its creation; does nothing unless it is on."""

    def __init__(self, first: str, is_on: bool = False) -> None:
        self.is_on = is_on
        self._name, self._stages = first, []  # type: Tuple[str, List[Stage]]
        self._since: Optional[_Times] = _now() if is_on else None

    def begin(self, name: str) -> None:
        """End the current stage, and begin the next."""
        self._end()
        self._name, self._since = name, _now() if self.is_on else None

    def _end(self) -> None:
        if self._since is not None:
            seconds, own, children = (now - then for now, then in zip(_now(), self._since))
            self._stages.append(Stage(self._name, seconds, own, children))
            self._since = None

    def stages(self) -> List[Dict[str, Any]]:
        """End the last stage, and return all as plain data; none if there was only one."""
        self._end()
        return [asdict(stage) for stage in self._stages] if len(self._stages) > 1 else []


def is_wanted(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether the user asks for the measurement."""
    return environment.get(VARIABLE, "") not in ("", "0")

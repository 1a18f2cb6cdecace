# SPDX-License-Identifier: Apache-2.0
"""What torchrun prints about being ended by a signal, which would bury the cause. Pure; private to the collection."""

from __future__ import annotations

import re
from typing import List, Sequence, Set

# The first line that it prints when a signal ends it, and the last line of its own handler's traceback.
_DYING = re.compile(r"Received \S+ death signal, shutting down workers")
_DEAD = re.compile(r"SignalException: Process \d+ got signal: \d+")


class RunnerEnd:
    """Leaves out what the runners of a run print after they got a signal, whatever stopped them; the files keep it."""

    def __init__(self) -> None:
        self._ending: Set[str] = set()

    def forget(self) -> None:
        """Begin again: the runners of another attempt have not ended yet."""
        self._ending.clear()

    def without(self, host: str, texts: Sequence[str]) -> Sequence[str]:
        """Return the lines of a runner that are not about its end."""
        if host in self._ending:
            return ()
        at = next((at for at, text in enumerate(texts) if _DYING.search(text)), None)
        if at is not None:
            self._ending.add(host)
            texts = texts[: at + 1]
        # If only the last lines are read, the first line about its end may be missing.
        found: List[str] = [text for text in texts if not _DEAD.search(text)]
        return found if len(found) < len(texts) else texts

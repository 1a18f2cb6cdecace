# SPDX-License-Identifier: Apache-2.0
"""Lines at the end of a terminal that are drawn again in place. Private to the collection."""

from __future__ import annotations

import os
from typing import Any, Callable, Sequence


def is_possible(stream: Any) -> bool:
    """Return whether a stream is a terminal that can move its cursor."""
    return stream is not None and stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


class Redrawn:
    """Knows which of its lines are on the terminal; nothing else may write there while there are any."""

    def __init__(self, write: Callable[[str], Any]) -> None:
        """Prepare; ``write`` writes a text to the terminal as it is, at once."""
        self._write = write
        self._lines: Sequence[str] = ()

    def __bool__(self) -> bool:
        return bool(self._lines)

    def draw(self, lines: Sequence[str]) -> None:
        """Draw lines, each narrower than the terminal, in the place of those that are there."""
        if lines != self._lines:
            self.erase()
            self._write("".join(line + "\n" for line in lines))
            self._lines = lines

    def erase(self) -> None:
        """Take all lines away, so that what is written next stands in their place."""
        if self._lines:
            self._write("\x1b[%dA\x1b[J" % len(self._lines))
            self._lines = ()

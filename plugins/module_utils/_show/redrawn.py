# SPDX-License-Identifier: Apache-2.0
"""Lines at the end of a terminal that are redrawn in place. Private to the collection."""

from __future__ import annotations

import os
from typing import Any, Callable, Sequence

_ERASE = "\r\x1b[J"


def is_possible(stream: Any) -> bool:
    """Return whether a stream is a terminal that can move its cursor."""
    return stream is not None and stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


class Redrawn:
    """
    Tracks which of its lines are on the terminal; nothing else may write to it while there are any.

    The cursor stays at the beginning of the first one. If a terminal that becomes narrower wraps lines, it moves the
    cursor with the text, and everything below it can still be erased.
    """

    def __init__(self, write: Callable[[str], Any]) -> None:
        """Prepare; ``write`` writes a text to the terminal unchanged and unbuffered."""
        self._write = write
        self._lines: Sequence[str] = ()

    def __bool__(self) -> bool:
        return bool(self._lines)

    def draw(self, lines: Sequence[str]) -> None:
        """Draw lines, each narrower than the terminal and fewer than its rows, in place of the current ones."""
        if lines != self._lines:
            up = "\x1b[%dA" % (len(lines) - 1) if len(lines) > 1 else ""
            self._write(_ERASE * bool(self._lines) + "\n".join(lines) + up + "\r" * bool(lines))
            self._lines = lines

    def erase(self, also_echo: bool = False) -> None:
        """
        Erase all lines, so that the next output replaces them.

        Args:
            also_echo: Whether to also erase what the terminal has echoed, such as ``^C``.
        """
        if self._lines or also_echo:
            self._write(_ERASE)
            self._lines = ()

# SPDX-License-Identifier: Apache-2.0
"""
The end of a log as a terminal would show it: finished lines, and rows that may still change. Pure; private to the
collection.

Progress bars overwrite their row after a carriage return. Nested ones also go down with a newline and come back with
``ESC [ A``. Rows that the cursor has shown to reach stay rows; everything above them is a finished line.
"""

from __future__ import annotations

import re
from typing import List, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._show.masking import Mask

LONGEST = 64 * 1024
CUT = " …"
MOST_ROWS = 16  # above the last one
# After this many new rows without moving back up, a log has plain lines again.
_PATIENCE = 2 * MOST_ROWS
# A bar that is redrawn after this many polls is a line of its own.
_PARKED_LOOKS = 10
_MOVES = re.compile(rb"(\n|\x1b\[[0-9]{0,3}A)")
_BEGUN = re.compile(rb"\x1b(\[[0-9;]{0,32})?\Z")
_UP = re.compile(rb"\x1b\[[0-9]{0,3}A")


def split(rest: bytes, data: bytes, mask: Mask, longest: int = LONGEST) -> Tuple[List[bytes], bytes]:
    """
    Cut lines out of a log.

    Args:
        rest: The incomplete part that the last call returned.
        data: The data added since then.
        mask: The mask, whose secrets are not cut in two.
        longest: Longer lines are returned in pieces, each but the last with a mark at its end.

    Returns:
        The lines, and the incomplete part, which is never much longer than ``longest``.
    """
    *lines, rest = (rest + data).split(b"\n")
    found: List[bytes] = []
    for line in lines:
        found += _whole(line, mask, longest)
    # A secret that begins after the cut is found only when it is complete.
    pieces, rest = _pieces(rest, mask, longest, longest + mask.longest)
    return found + pieces, rest


class Rows:
    """The rows of one log that may still change; a row that overwrites itself begins with a carriage return."""

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        self.rows: List[bytes] = [b""]
        self._begun = b""  # an escape sequence that is still incomplete
        self._at = 0  # the row of the cursor
        self._reach = 0  # how many rows above the last one the cursor has come back to
        self._news = 0  # rows since it last did
        self._row_age = self._age = 0  # looks since the last row came, and since anything did

    @property
    def is_plain(self) -> bool:
        """Whether there is one complete row, which no cursor has come back to."""
        return not self._reach and len(self.rows) == 1 and not self._begun

    @property
    def is_waiting(self) -> bool:
        """Whether a row waits for a cursor that may come back to it, and will soon have waited long enough."""
        return len(self.rows) - 1 > self._reach or self._is_parked

    def feed(self, data: bytes) -> List[bytes]:
        """Add data, and return the lines that it finishes."""
        data, self._begun = self._begun + data, b""
        begun = _BEGUN.search(data)
        if begun:
            data, self._begun = data[: begun.start()], begun.group()
        if not self._reach and len(self.rows) == 1 and b"\r" not in data and not is_bar(self.rows[0]):
            lines, rest = split(self.rows[0], data, self._mask)
            if not _UP.search(rest) and not any(map(_UP.search, lines)):
                self.rows[0] = rest
                return lines
        self._age = 0
        found: List[bytes] = []
        data, self.rows[self._at] = self.rows[self._at] + data, b""
        text, *moves = _MOVES.split(data)
        self._write(text)
        for move, text in zip(moves[::2], moves[1::2]):
            found += self._down() if move == b"\n" else self._up(int(move[2:-1] or b"1") or 1)
            self._write(text)
        return [line for row in found + self._beyond() for line in _whole(row, self._mask, LONGEST)]

    def settle(self) -> List[bytes]:
        """Return the lines that no cursor came back to for some polls; call it ten times per second."""
        self._row_age += 1
        self._age += 1
        if self._is_parked and self._age > _PARKED_LOOKS:
            self._reach = 0
        return self._scrolled(holds_bars=False) if self._row_age > 1 else []

    def leave(self) -> List[bytes]:
        """Return the lines that wait for a cursor to come back, which no longer will."""
        return self._scrolled(holds_bars=False)

    def end(self) -> List[bytes]:
        """Return all rows that show anything; nothing more is added to the log."""
        self._write(self._begun)
        return [row for row in self.rows if row.strip()]

    @property
    def _is_parked(self) -> bool:
        """Whether all bars have ended: the cursor is below them, in a row of its own."""
        return len(self.rows) > 1 and self._at == len(self.rows) - 1 and not self.rows[-1]

    def _write(self, text: bytes) -> None:
        if text:
            self.rows[self._at] = last_state(self.rows[self._at] + text)

    def _down(self) -> List[bytes]:
        self._at += 1
        if self._at < len(self.rows):
            # The next text written there overwrites it.
            row = self.rows[self._at]
            self.rows[self._at] = row.rstrip(b"\r") + b"\r" if row else row
            return []
        self.rows.append(b"")
        self._row_age = 0
        self._news += 1
        if self._news > _PATIENCE:
            self._reach = 0
        # The next bar below may show that the cursor comes back to this one.
        return self._scrolled(holds_bars=True)

    def _up(self, count: int) -> List[bytes]:
        last = len(self.rows) - 1
        self._at = max(self._at - count, last - MOST_ROWS, 0)
        self._reach, self._news = max(self._reach, last - self._at), 0
        return []

    def _scrolled(self, holds_bars: bool) -> List[bytes]:
        found = []
        while len(self.rows) - 1 > min(self._reach + (holds_bars and is_bar(self.rows[0])), MOST_ROWS) and self._at:
            found.append(self.rows.pop(0))
            self._at -= 1
        return [row for row in found if row.strip() or not is_bar(row)]

    def _beyond(self) -> List[bytes]:
        """Return why the rows take too much memory, if they do."""
        found, limit = [], LONGEST + self._mask.longest
        while len(self.rows) > 1 and sum(map(len, self.rows)) > limit:
            found.append(self.rows.pop(0 if self._at else -1))
            self._at = max(0, self._at - 1)
        pieces, self.rows[self._at] = _pieces(self.rows[self._at], self._mask, LONGEST, limit)
        return found + pieces


def is_bar(row: bytes) -> bool:
    """Return whether a row has overwritten itself."""
    return row.startswith(b"\r")


def last_state(line: bytes) -> bytes:
    """Remove what a line has overwritten, leaving a carriage return in its place."""
    if b"\r" not in line:
        return line
    shown = line.rstrip(b"\r")
    _, begin, state = shown.rpartition(b"\r")
    return begin + state + line[len(shown) :][:1]


def _whole(line: bytes, mask: Mask, longest: int) -> List[bytes]:
    """Return a line, in pieces if it is too long."""
    if len(line) <= longest:
        return [line]
    pieces, last = _pieces(line, mask, longest, longest)
    return [*pieces, last] if last or not pieces else pieces


def _pieces(line: bytes, mask: Mask, longest: int, limit: int) -> Tuple[List[bytes], bytes]:
    pieces = []
    if len(line) > limit:
        line = last_state(line)
    while len(line) > limit:
        at = longest
        while at > longest - 4 and line[at] & 0xC0 == 0x80:  # in the middle of a character
            at -= 1
        at = mask.cut(line, at)
        pieces.append(line[:at] + CUT.encode())
        line = line[at:]
    return pieces, line

# SPDX-License-Identifier: Apache-2.0
"""The job's lines on their way to a screen: cut from bytes, made harmless. Pure; private to the collection."""

from __future__ import annotations

import codecs
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import events
from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import plain
from ansible_collections.madctl.multinode.plugins.module_utils._show import colours
from ansible_collections.madctl.multinode.plugins.module_utils._show.masking import Mask
from ansible_collections.madctl.multinode.plugins.module_utils._show.rows import CUT, LONGEST, Rows

KEPT = "\t"
_SHOWN = bytes(range(0x20, 0x7F)) + b"\n\t"
_DECODER = codecs.getincrementaldecoder("utf-8")


def is_forged(event: Dict[str, Any]) -> bool:
    """Return whether a node reports what only the follower of all nodes can know; a node's events have its host."""
    return event["event"] in events.OF_THE_RUN and "host" in event


def harmless(line: bytes, with_colours: bool = False) -> str:
    """Format a line so that no byte of it can move a terminal's cursor, or change its state beyond the line."""
    text = line.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    text = text.rstrip("\r").rpartition("\r")[2]
    return str(colours.harmless(text, KEPT) if with_colours else plain(text, KEPT))


class Logs:
    """Cuts all logs of a run into lines that can be shown, and keeps incomplete ones."""

    def __init__(self, mask: Mask, with_colours: bool = False) -> None:
        """
        Prepare.

        Args:
            with_colours: Whether lines keep their colours.
        """
        self._mask, self._with_colours = mask, with_colours
        self._logs: Dict[Tuple[str, str], Rows] = {}
        self._waiting: Dict[Tuple[str, str], Rows] = {}

    def feed(self, host: str, log: str, data: bytes) -> List[str]:
        """Add data to a log, and return the lines that it completes."""
        rows = self._rows(host, log)
        lines = rows.feed(data)
        if rows.is_waiting:
            self._waiting[host, log] = rows
        return list(map(self._shown, lines))

    def block(self, host: str, log: str, data: bytes) -> Optional[bytes]:
        """
        Add data to a log, and return the lines that it completes as a whole; None if each must be inspected.

        They must be inspected if there may be secrets, if a line is too long, or if it has characters other than
        printable ASCII. Most output has none of these, and costs a tenth. After None, call ``feed``.
        """
        rows = self._rows(host, log)
        if not rows.is_plain:
            return None
        data = rows.rows[0] + data
        end = data.rfind(b"\n")
        if end < 0 or self._mask.longest or len(data) - end > LONGEST or _has_long_line(data, end):
            return None
        if data.translate(None, _SHOWN):
            return None
        rows.rows[0] = data[end + 1 :]
        return data[:end]

    def settle(self) -> Iterator[Tuple[str, str, List[str]]]:
        """Yield the lines of logs that waited for a cursor to come back; see ``Rows``."""
        for (host, log), rows in list(self._waiting.items()):
            lines = rows.settle()
            if not rows.is_waiting:
                del self._waiting[host, log]
            if lines:
                yield host, log, list(map(self._shown, lines))

    def settle_beside(self, host: str, log: str) -> Iterator[Tuple[str, str, List[str]]]:
        """Yield the lines that have waited in the other logs of a rank when one of its logs continues."""
        rank = log.rpartition(".")[0]
        beside = [
            key for key in self._waiting if key[0] == host and key[1] != log and key[1].rpartition(".")[0] == rank
        ]
        for key in beside:
            lines = self._waiting[key].leave()
            if not self._waiting[key].is_waiting:
                del self._waiting[key]
            if lines:
                yield (*key, list(map(self._shown, lines)))

    @property
    def is_settled(self) -> bool:
        """Whether no line waits for a cursor to come back."""
        return not self._waiting

    def unfinished(self, is_wanted: Callable[[str, str], bool]) -> Iterator[Tuple[str, str, str]]:
        """Yield host, log and text of every row that may still change, for the wanted logs."""
        for (host, log), rows in self._logs.items():
            if is_wanted(host, log):
                for row in rows.rows:
                    text = self._shown(self._mask.unfinished(_whole_characters(row))) if row else ""
                    if text.strip():
                        yield host, log, text

    def end(self, host: Optional[str] = None, log: Optional[str] = None) -> List[Tuple[str, str, str]]:
        """Remove incomplete lines from all logs, or from some, and return them, each with its host and log."""
        found = [key for key in self._logs if host in (None, key[0]) and log in (None, key[1])]
        for key in found:
            self._waiting.pop(key, None)
        ends = [(*key, self._logs.pop(key).end()) for key in found]
        return [(owner, name, self._shown(row)) for owner, name, rows in ends for row in rows]

    def _rows(self, host: str, log: str) -> Rows:
        rows = self._logs.get((host, log))
        if rows is None:
            rows = self._logs[host, log] = Rows(self._mask)
        return rows

    def _shown(self, line: bytes) -> str:
        line = self._mask.line(line)
        if colours.BEGIN not in line:
            return harmless(line)
        # A secret may contain colours; hiding it is more important than they are.
        bare = colours.without(line)
        masked = self._mask.line(bare)
        return harmless(line if self._with_colours and masked == bare else masked, self._with_colours)

    def gap(self, host: str, log: str, count: int) -> List[str]:
        """Return what to show for missing output of a log: the line that it cuts, and how much is missing."""
        cut = [text + CUT for _, _, text in self.end(host, log)]
        return [*cut, "… %s not shown; see the log on the node" % size(count)]


def _has_long_line(data: bytes, end: int) -> bool:
    at = 0
    while end - at > LONGEST:
        at = data.rfind(b"\n", at, at + LONGEST + 1) + 1
        if not at:
            return True
    return False


def _whole_characters(row: bytes) -> bytes:
    """Return a row without an incomplete character at its end."""
    decoder = _DECODER("backslashreplace")
    decoder.decode(row[-4:])
    return row[: len(row) - len(decoder.getstate()[0])]


def size(count: float) -> str:
    """Format a number of bytes for people."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 999.5:
            return "%.0f %s" % (count, unit) if count >= 10 or unit == "bytes" else "%.1f %s" % (count, unit)
        count /= 1000
    return "%.1f TB" % count

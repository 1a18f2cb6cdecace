# SPDX-License-Identifier: Apache-2.0
"""The job's lines on their way to a screen: cut out of bytes, made harmless. Pure; private to the collection."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import events
from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import plain
from ansible_collections.madctl.multinode.plugins.module_utils._show.masking import Mask

LONGEST = 64 * 1024
CUT = " …"
KEPT = "\t"
_SHOWN = bytes(range(0x20, 0x7F)) + b"\n\t"


def is_forged(event: Dict[str, Any]) -> bool:
    """Return whether a node reports what only the follower of all nodes can know; what a node reports has its host."""
    return event["event"] in events.OF_THE_RUN and "host" in event


def harmless(line: bytes) -> str:
    """Write a line so that no byte of it can move a terminal's cursor or change its state."""
    text = line.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    text = text.rstrip("\r").rpartition("\r")[2]
    return str(plain(text, KEPT))


def split(rest: bytes, data: bytes, mask: Mask, longest: int = LONGEST) -> Tuple[List[bytes], bytes]:
    """
    Cut lines out of a log.

    Args:
        rest: What the last call returned as incomplete.
        data: What was added since.
        mask: Its secrets are not cut in two.
        longest: Longer lines are returned in pieces, each but the last with a mark at its end.

    Returns:
        The lines, and what is incomplete, which is never much longer than ``longest``.
    """
    *lines, rest = (rest + data).split(b"\n")
    found: List[bytes] = []
    for line in lines:
        if len(line) <= longest:
            found.append(line)
            continue
        pieces, last = _pieces(line, mask, longest, longest)
        found += [*pieces, last] if last or not pieces else pieces
    # A secret that begins behind the cut is found only when all of it is there.
    pieces, rest = _pieces(rest, mask, longest, longest + mask.longest)
    return found + pieces, rest


class Logs:
    """Cuts all logs of a run into lines that can be shown, and keeps what no newline has ended yet."""

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        self._rests: Dict[Tuple[str, str], bytes] = {}

    def feed(self, host: str, log: str, data: bytes) -> List[str]:
        """Add data to a log, and return the lines that it completes."""
        lines, self._rests[host, log] = split(self._rests.get((host, log), b""), data, self._mask)
        return [harmless(self._mask.line(line)) for line in lines]

    def block(self, host: str, log: str, data: bytes) -> Optional[bytes]:
        """
        Add data to a log, and return the lines that it completes as a whole; None where each must be inspected.

        That is so where there may be secrets, where a line is too long, or has characters other than those of ASCII
        that any terminal just shows. Most output has none of these, and costs a tenth. After None, call ``feed``.
        """
        data = self._rests.get((host, log), b"") + data
        end = data.rfind(b"\n")
        if end < 0 or self._mask.longest or len(data) - end > LONGEST or _has_long_line(data, end):
            return None
        if data.translate(None, _SHOWN):
            return None
        self._rests[host, log] = data[end + 1 :]
        return data[:end]

    def end(self, host: Optional[str] = None, log: Optional[str] = None) -> List[Tuple[str, str, str]]:
        """Remove what is incomplete from all logs, or from some, and return it, each with its host and name."""
        found = [key for key in self._rests if host in (None, key[0]) and log in (None, key[1])]
        ends = [(*key, self._rests.pop(key)) for key in found]
        return [(owner, name, harmless(self._mask.line(rest))) for owner, name, rest in ends if rest]

    def gap(self, host: str, log: str, count: int) -> List[str]:
        """Return what to show where output of a log is left out: the line that is cut by it, and how much it is."""
        cut = [text + CUT for _, _, text in self.end(host, log)]
        return [*cut, "… %s not shown; see the log on the node" % size(count)]


def _has_long_line(data: bytes, end: int) -> bool:
    at = 0
    while end - at > LONGEST:
        at = data.rfind(b"\n", at, at + LONGEST + 1) + 1
        if not at:
            return True
    return False


def _pieces(line: bytes, mask: Mask, longest: int, limit: int) -> Tuple[List[bytes], bytes]:
    pieces = []
    if len(line) > limit:
        line = _last_state(line)
    while len(line) > limit:
        at = longest
        while at > longest - 4 and line[at] & 0xC0 == 0x80:  # in the middle of a character
            at -= 1
        at = mask.cut(line, at)
        pieces.append(line[:at] + CUT.encode())
        line = line[at:]
    return pieces, line


def _last_state(line: bytes) -> bytes:
    """Remove what a progress bar has overwritten."""
    shown = line.rstrip(b"\r")
    return shown.rpartition(b"\r")[2] + line[len(shown) :][:1]


def size(count: float) -> str:
    """Write a number of bytes for a person."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 999.5:
            return "%.0f %s" % (count, unit) if count >= 10 or unit == "bytes" else "%.1f %s" % (count, unit)
        count /= 1000
    return "%.1f TB" % count

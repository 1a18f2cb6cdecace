# SPDX-License-Identifier: Apache-2.0
"""
The log of a pod: what its ranks print and, in the first pod, the events of the run, as lines that people can read.

Every line is a label, a mark, a blank, and bytes. The label is the name of a log such as ``rank-3.out``, or one of our
own. The mark is ``:`` for a whole line, ``+`` for a part of one that continues, ``!`` for a number of bytes that are
missing. So nothing is lost, no line is longer than a pipe takes at once, and no output can pass for that of another
label. Pure; private to the collection.
"""

from __future__ import annotations

import re
from typing import Iterator, List, NamedTuple, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common.run_directory import LOG_NAME

# Lines of the conductor: an event of the run, the state of the run, its outcome; each is JSON.
EVENT, STATE, RESULT = "event", "state", "result"
WHOLE, PART, GAP = ":", "+", "!"
# Writes of several processes to one pipe do not mix up to 4,096 bytes; a label is short.
_MOST_BYTES = 4000
_LINE = re.compile(rb"(?P<label>%s|event|state|result)(?P<mark>[:+!]) " % LOG_NAME.pattern.encode(), re.ASCII)
_SIZE = re.compile(rb"[0-9]{1,18}")


class Piece(NamedTuple):
    """The content of one line: bytes of a label's stream, or how many of them are missing before it continues."""

    label: str
    data: bytes
    missing: int = 0


def lines(label: str, data: bytes) -> Iterator[bytes]:
    """Format bytes of a label's stream as lines."""
    head = label.encode()
    for line in _cut(data):
        body, mark = (line[:-1], WHOLE) if line.endswith(b"\n") else (line, PART)
        for at in range(0, max(1, len(body)), _MOST_BYTES):
            is_last = at + _MOST_BYTES >= len(body)
            yield b"%s%s %s\n" % (head, (mark if is_last else PART).encode(), body[at : at + _MOST_BYTES])


def _cut(data: bytes) -> List[bytes]:
    """Cut after newlines only: a carriage return belongs to its line."""
    found = [line + b"\n" for line in data.split(b"\n")]
    last = found.pop()[:-1]
    return [*found, last] if last else found


def gap(label: str, size: int) -> bytes:
    """Format a line that says how many bytes are missing."""
    return b"%s%s %d\n" % (label.encode(), GAP.encode(), size)


def piece(line: bytes) -> Optional[Piece]:
    """
    Parse one line, with or without its newline.

    Returns:
        None if something else printed it.
    """
    found = _LINE.match(line)
    if found is None:
        return None
    label, mark, body = str(found["label"], "ascii"), str(found["mark"], "ascii"), line[found.end() :]
    body = body[:-1] if body.endswith(b"\n") else body
    if mark == GAP:
        return Piece(label, b"", int(body)) if _SIZE.fullmatch(body) else None
    return Piece(label, body + (b"\n" if mark == WHOLE else b""))

# SPDX-License-Identifier: Apache-2.0
"""
Colours in a job's lines: the one kind of control sequence that may reach a terminal. Pure; private to the collection.

A sequence is ``ESC [ digits and semicolons m``, of bounded length. It changes how the text after it looks, and cannot
move the cursor; a line that has any ends with a reset.
"""

from __future__ import annotations

import re
from typing import Iterator, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import plain
from ansible_collections.madctl.multinode.plugins.module_utils._show import columns

BEGIN = b"\x1b["
_RESET = "\x1b[0m"
_SEQUENCE = re.compile("(\x1b\\[[0-9;]{0,32}m)")
_BYTES = re.compile(_SEQUENCE.pattern.encode())
# A character may take no column, but a line of such characters is not a reason to inspect all of it.
_PER_COLUMN = 4


def without(line: bytes) -> bytes:
    """Return a line without its colours."""
    return _BYTES.sub(b"", line) if BEGIN in line else line


def stripped(text: str) -> str:
    """Return a text without its colours."""
    return _SEQUENCE.sub("", text) if "\x1b" in text else text


def harmless(text: str, kept: str = "") -> str:
    """Return a text as one line that keeps its colours, but nothing else that acts on a terminal; see ``plain``."""
    if "\x1b" not in text:
        return plain(text, kept)
    found = "".join(piece if is_colour else plain(piece, kept) for is_colour, piece in _pieces(text))
    return found + _RESET if _SEQUENCE.search(found) and not found.endswith(_RESET) else found


def fitted(text: str, width: int) -> str:
    """Cut a harmless text to some columns of a terminal, without counting its colours."""
    found, left = "", max(width, 0)
    for is_colour, piece in _pieces(text.replace("\t", " ")):
        if not is_colour:
            piece = columns.cut(piece[: left * _PER_COLUMN], left)
            left -= columns.width(piece)
        found += piece
        if not left:
            break
    return found + _RESET if "\x1b" in found and not found.endswith(_RESET) else found


def _pieces(text: str) -> Iterator[Tuple[bool, str]]:
    for at, piece in enumerate(_SEQUENCE.split(text)):
        if piece:
            yield bool(at % 2), piece

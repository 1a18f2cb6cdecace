# SPDX-License-Identifier: Apache-2.0
"""
The manifest of a directory of code: its entries by path, and the identity of its content.

The machine that sends code and the nodes that keep it have to agree on this. A path is bytes, because a name may be
anything but a slash and NUL; in JSON its undecodable bytes are lone surrogates. Neither end trusts the other: a path
that leads elsewhere, a link that something else lies below, and numbers beyond the bounds are refused. Pure; private to
the collection.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, Dict, Iterable, List, NamedTuple, Tuple

FILE, DIRECTORY, LINK = "f", "d", "l"
MOST_BYTES, MOST_ENTRIES = 500 * 1000**2, 100000
# Bounds of a manifest as it is sent.
MOST_TEXT = 1 << 25
PATH_BYTES, PART_BYTES, DEPTH = 4096, 255, 64
TREE = re.compile(r"[0-9a-f]{64}", re.ASCII)
_MARK = b"madctl tree 1\n"
Range = Tuple[int, int]


class ManifestError(ValueError):
    """Something is not a manifest, or holds something forbidden."""


class Entry(NamedTuple):
    """
    One file, directory or link.

    ``mode`` are permissions, 0 for a link; ``size`` is that of a file; ``content`` the SHA-256 of a file in
    hexadecimal, or where a link points.
    """

    path: bytes
    kind: str
    mode: int = 0
    size: int = 0
    content: str = ""

    @property
    def target(self) -> bytes:
        """The target of a link."""
        return _bytes(self.content)


def text_of(name: bytes) -> str:
    """Return a name as text that becomes the same bytes again, whatever the encoding of this machine's file names."""
    return name.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def written(entries: Iterable[Entry]) -> bytes:
    """Serialise a manifest; equal content gives equal bytes."""
    rows = [[text_of(entry.path), *entry[1:]] for entry in sorted(entries)]
    return json.dumps(rows, separators=(",", ":")).encode()


def identity(data: bytes) -> str:
    """Return the identity of the tree that a manifest describes."""
    return hashlib.sha256(_MARK + data).hexdigest()


def parsed(data: bytes) -> List[Entry]:
    """
    Parse an untrusted manifest.

    Raises:
        ManifestError: If it is not one.
    """
    if len(data) > MOST_TEXT:
        raise ManifestError("the manifest is longer than %d bytes" % MOST_TEXT)
    try:
        rows = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ManifestError("the manifest is not JSON") from error
    if type(rows) is not list or len(rows) > MOST_ENTRIES:
        raise ManifestError("the manifest is not a list of at most %d entries" % MOST_ENTRIES)
    kinds: Dict[bytes, str] = {b"": DIRECTORY}
    entries, size = [], 0
    for row in rows:
        entry = _entry(row)
        parent = entry.path.rpartition(b"/")[0]
        # Nothing is ever written through a link, or over something that already exists.
        if entry.path in kinds or kinds.get(parent) != DIRECTORY:
            raise ManifestError("the manifest has %a twice, or not in a directory" % entry.path[:200])
        kinds[entry.path] = entry.kind
        size += entry.size
        if size > MOST_BYTES:
            raise ManifestError("the files of the manifest have more than %d bytes" % MOST_BYTES)
        entries.append(entry)
    return entries


def _entry(row: Any) -> Entry:
    """Parse one row of a manifest."""
    if type(row) is not list or len(row) != 5 or any(type(row[at]) is not str for at in (0, 1, 4)):
        raise ManifestError("a row of the manifest is malformed")
    path, kind, mode, size, content = row
    try:
        name, meant = _bytes(path), _bytes(content)
    except UnicodeEncodeError as error:
        raise ManifestError("a name in the manifest is invalid") from error
    good = is_path(name) and type(mode) is int and 0 <= mode <= 0o777 and type(size) is int
    if kind == FILE:
        good = good and 0 <= size <= MOST_BYTES and TREE.fullmatch(content) is not None
    elif kind == LINK:
        good = good and not mode and not size and 0 < len(meant) < PATH_BYTES and b"\0" not in meant
    else:
        good = good and kind == DIRECTORY and not size and not content
    if not good:
        raise ManifestError("the manifest has an invalid entry: %a" % path[:200])
    return Entry(name, kind, mode, size, content)


def is_path(path: bytes) -> bool:
    """Return whether a path stays below the directory that it is relative to."""
    parts = path.split(b"/")
    good = (part not in (b"", b".", b"..") and len(part) <= PART_BYTES for part in parts)
    return len(path) < PATH_BYTES and b"\0" not in path and len(parts) <= DEPTH and all(good)


# -- sets of entries, as they are sent ---------------------------------------------------------------


def ranges(numbers: Iterable[int]) -> List[Range]:
    """Return ascending numbers as ranges, each its first number and its last."""
    found: List[Range] = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1] = found[-1][0], number
        else:
            found.append((number, number))
    return found


def numbers(told: Iterable[Iterable[int]], entries: List[Entry]) -> List[int]:
    """
    Return the files that untrusted ranges name.

    Raises:
        ManifestError: If they name anything else, or anything twice.
    """
    found: List[int] = []
    for first, last in told:
        if not (found[-1] if found else -1) < first <= last < len(entries):
            raise ManifestError("it asks for a file that is not in the manifest")
        found += range(first, last + 1)
    if any(entries[number].kind != FILE for number in found):
        raise ManifestError("it asks for an entry that is not a file")
    return found

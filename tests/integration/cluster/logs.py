# SPDX-License-Identifier: Apache-2.0
"""The log of a container as a kubelet keeps it: lines with times, its newest part only, and streams that end early."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

# Runtimes cut longer lines, and kubelets join the parts again.
LONGEST = 16 * 1024


class Line(NamedTuple):
    """A line, or a part of one; only a line's first part is shown with its time."""

    at: int
    text: bytes
    is_first: bool


class Wanted(NamedTuple):
    """What a reader asks for."""

    follow: bool = False
    since_ns: int = 0
    timestamps: bool = False
    tail: int | None = None
    limit: int | None = None


class Log:
    """The log of one container; two streams are merged as they come."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._lines: list[Line] = []
        self._dropped = 0
        self._cuts = 0
        self._is_over = False

    def read_stream(self, descriptor: int) -> None:
        """Take lines from a pipe until all writers are gone; runs in a thread of its own."""
        rest, is_first = b"", True
        with open(descriptor, "rb", buffering=0) as stream:
            while more := os.read(stream.fileno(), 65536):
                rest += more
                while b"\n" in rest or len(rest) >= LONGEST:
                    end = rest.find(b"\n", 0, LONGEST) + 1 or min(LONGEST, len(rest))
                    self._add(rest[:end], is_first)
                    is_first, rest = rest[:end].endswith(b"\n"), rest[end:]
        if rest:
            self._add(rest + b"\n", is_first)

    def _add(self, text: bytes, is_first: bool) -> None:
        with self._changed:
            self._lines.append(Line(time.time_ns(), text, is_first))
            self._changed.notify_all()

    @property
    def count(self) -> int:
        """How many lines were written."""
        with self._changed:
            return self._dropped + len(self._lines)

    def end(self) -> None:
        """Let readers end: the container has, and all of its output is here."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def rotate(self, keep: int | None = None) -> None:
        """End all streams as a rotation does on some runtimes, and forget all but the newest lines."""
        with self._changed:
            if keep is not None:
                gone = max(0, len(self._lines) - keep)
                del self._lines[:gone]
                self._dropped += gone
            self._cuts += 1
            self._changed.notify_all()

    def read(self, wanted: Wanted) -> Iterator[bytes]:
        """Yield what a reader asked for, piece by piece; where it follows, an empty piece while nothing comes."""
        with self._changed:
            cuts, at = self._cuts, self._dropped
            if wanted.tail is not None:
                at += max(0, len(self._lines) - wanted.tail)
        left = wanted.limit
        while True:
            with self._changed:
                at = max(at, self._dropped)
                lines = self._lines[at - self._dropped :]
                if not lines and wanted.follow and not self._is_over and self._cuts == cuts:
                    self._changed.wait(1)
                    lines = self._lines[max(at, self._dropped) - self._dropped :]
                at = self._dropped + len(self._lines)
                is_last = self._is_over or self._cuts != cuts or not wanted.follow
            shown = b"".join(_shown(line, wanted.timestamps) for line in lines if line.at >= wanted.since_ns)
            piece = shown if left is None else shown[:left]
            if left is not None:
                left -= len(piece)
            yield piece
            if is_last or left == 0:
                return

    def text(self) -> str:
        """Return all of it."""
        return b"".join(self.read(Wanted())).decode(errors="replace")


def _shown(line: Line, timestamps: bool) -> bytes:
    return stamp(line.at).encode() + b" " + line.text if timestamps and line.is_first else line.text


def stamp(at: int) -> str:
    """Return a time as RFC3339Nano writes it: without zeros at the end."""
    seconds, rest = divmod(at, 1_000_000_000)
    fraction = f".{rest:09d}".rstrip("0").rstrip(".")
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}{fraction}Z"

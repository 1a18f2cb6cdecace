# SPDX-License-Identifier: GPL-3.0-or-later
"""
Listen to a program on a node, which may send anything and as much as it likes.

Whatever is kept here has a bound. What goes beyond it is that node's error and nobody else's.
"""

from __future__ import annotations

import os
import select
import subprocess
import threading
from typing import Any

from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes import remote_program

PIECE = 1 << 18
# What login scripts print before something that has bounds of its own; and that with an answer.
BEFORE_BYTES, ANSWER_BYTES = 1 << 20, 1 << 26
_WORDS_BYTES = 1 << 12


class Refused(Exception):  # noqa: N818  it is an answer of a node, not an error of ours
    """A node sent what it may not send."""


class Hearing:
    """The output of one process."""

    def __init__(self, process: subprocess.Popen[bytes], most: int, silence: float | None = None) -> None:
        """
        Begin to listen; what comes on standard error is taken from now on, and its end kept.

        Args:
            most: How many bytes are kept of what it prints.
            silence: How many seconds the process may send nothing; None for ever.
        """
        assert process.stdout is not None
        self._process, self._most, self._silence = process, most, silence
        self._out, self._words = process.stdout.fileno(), b""
        # What was read and not yet asked for begins at a place of the last piece.
        self._piece, self._at = b"", 0
        self._printed = bytearray()
        self._poll = select.poll()
        self._poll.register(self._out, select.POLLIN)
        self._drain = threading.Thread(target=self._listen, daemon=True)
        self._drain.start()

    def _listen(self) -> None:
        assert self._process.stderr is not None
        while piece := self._process.stderr.read1(PIECE):  # type: ignore[attr-defined]
            self._words = (self._words + piece)[-_WORDS_BYTES:]

    def read(self) -> bytes:
        """
        Return the next bytes, none at the end.

        Raises:
            Refused: If there is nothing for too long.
        """
        if self._at < len(self._piece):
            rest, self._piece = self._piece[self._at :], b""
            return rest
        if not self._poll.poll(None if self._silence is None else self._silence * 1000):
            raise Refused("it sent nothing for %g s" % (self._silence or 0.0))
        return os.read(self._out, PIECE)

    def line(self) -> bytes:
        """
        Return the next line, none at the end.

        Raises:
            Refused: If it is too long.
        """
        found = bytearray()
        while not found.endswith(b"\n"):
            if self._at >= len(self._piece):
                self._piece, self._at = self.read(), 0
            end = self._piece.find(b"\n", self._at) + 1 or len(self._piece)
            found += self._piece[self._at : end]
            self._at = end
            if len(found) > self._most:
                raise Refused("it printed more than %d bytes" % self._most)
            if not self._piece:
                break
        return bytes(found)

    def news(self, program: remote_program.Program) -> dict[str, Any] | None:
        """
        Return what the program tells next, or None when it ended; what else it prints is kept.

        Raises:
            Refused: If it prints too much, or tells no object.
        """
        while line := self.line():
            try:
                found = program.news(line)
            except ValueError as error:
                raise Refused(str(error)) from error
            if found is not None:
                return found
            self._printed += line
            if len(self._printed) > self._most:
                raise Refused("it printed more than %d bytes" % self._most)
        return None

    def answer(self, program: remote_program.Program) -> dict[str, Any]:
        """
        Wait for the end of the process, and return what the program answered.

        Raises:
            Refused: If it prints too much.
        """
        while self.news(program) is not None:
            pass
        code = self._process.wait()
        self._drain.join()
        return program.answer(code, self._printed.decode(errors="replace"), self.words)

    @property
    def words(self) -> str:
        """The end of what it said on standard error."""
        return self._words.decode(errors="replace")

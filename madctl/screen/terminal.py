# SPDX-License-Identifier: Apache-2.0
"""
The one place that prints.

Output may quote a node, a file or an argument. ``say`` and ``tell`` print each text as one line, whatever it contains,
and only visible characters reach a terminal. No other file of the package prints.

A failure to write does not end a command: the reader of our output may have gone, or a disk may be full, while a run
needs us. ``leave`` returns the error, for the exit code.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import TextIO

from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import plain
from ansible_collections.madctl.multinode.plugins.module_utils._show import colours, redrawn
from ansible_collections.madctl.multinode.plugins.module_utils._show.job_lines import KEPT
from madctl.errors import DEBUG
from madctl.screen import display

# Encodings that contain ASCII unchanged.
_LIKE_ASCII = ("utf-8", "ascii", "iso8859-1")


class Stream:
    """One of the two standard streams, as ``sys`` currently has it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.reader_gone = False
        self.error: OSError | None = None

    def lines(self, texts: Iterable[object], kept: str = "", colours: Mapping[str, str] = MappingProxyType({})) -> None:
        """
        Write texts, each as one line, in a single write.

        Args:
            colours: The colours of words, if the stream shows colours; only the first of them in a text is coloured.
        """
        shown = colours if self.has_colours() else {}
        self.write("".join(display.painted(plain(text, kept), shown) + "\n" for text in texts))

    def write(self, text: str) -> None:
        """Write a text unchanged: it is known to be harmless, or moves the cursor on purpose."""
        stream: TextIO | None = getattr(sys, self._name)
        if stream is None:
            return
        self._guarded(stream, lambda: stream.write(text))

    def _guarded(self, stream: TextIO, write: Callable[[], object]) -> None:
        try:
            write()
            stream.flush()
        except BrokenPipeError:
            # The reader has seen enough, such as ``head``.
            self.reader_gone = True
            _silence(stream)
        except OSError as error:
            self.error = self.error or error

    def job(self, label: str, texts: Iterable[str]) -> None:
        """Write lines of a job, which may contain tabs and colours, prefixed with their source."""
        self.write("".join(f"{plain(label)} │ {colours.harmless(text, KEPT)}\n" for text in texts))

    def block(self, label: str, lines: bytes) -> None:
        """Write whole lines of a job, in ASCII that is known to be harmless, prefixed with their source."""
        before = f"{plain(label)} │ "
        stream = getattr(sys, self._name)
        bare = getattr(stream, "buffer", None)
        if bare is None or codecs.lookup(stream.encoding).name not in _LIKE_ASCII:
            self.write(before + lines.decode().replace("\n", "\n" + before) + "\n")
            return
        head = before.encode(stream.encoding, stream.errors)
        self._guarded(stream, lambda: bare.writelines((head, lines.replace(b"\n", b"\n" + head), b"\n")))

    def can_draw(self) -> bool:
        """Return whether the stream is a terminal that can move its cursor."""
        return redrawn.is_possible(getattr(sys, self._name))

    def takes_colours(self) -> bool:
        """Return whether it may show colours of a job; see no-color.org."""
        return self.can_draw() and not os.environ.get("NO_COLOR")

    def size(self) -> os.terminal_size:
        """Return the current size of the terminal, in columns and lines."""
        with contextlib.suppress(OSError, ValueError, AttributeError):
            found = os.get_terminal_size(getattr(sys, self._name).fileno())
            if found.columns and found.lines:
                return found
        return shutil.get_terminal_size()

    def is_terminal(self) -> bool:
        """Return whether the stream is a terminal."""
        stream: TextIO | None = getattr(sys, self._name)
        return stream is not None and stream.isatty()

    def has_colours(self) -> bool:
        """Return whether the stream shows colours."""
        return display.has_colours(os.environ, self.is_terminal())

    def width(self) -> int | None:
        """Return its number of columns; None if lines can have any length."""
        return display.width(os.environ, self._width_of_terminal())

    def _width_of_terminal(self) -> int | None:
        if not self.is_terminal():
            return None
        try:
            return os.get_terminal_size(getattr(sys, self._name).fileno()).columns
        except (OSError, ValueError):
            return None

    def prepare(self) -> None:
        """Forget earlier failures, and show characters that the stream cannot encode as escapes."""
        self.reader_gone, self.error = False, None
        stream = getattr(sys, self._name)
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")

    def leave(self) -> None:
        """Prevent Python from retrying failed writes, and from complaining, at its end."""
        stream = getattr(sys, self._name)
        if self.error and stream is not None:
            _silence(stream)


class _Nowhere(Stream):
    """The stream for programs that import madctl, and do their own printing."""

    def write(self, text: str) -> None:
        """Write nothing."""

    def block(self, label: str, lines: bytes) -> None:
        """Write nothing."""

    def can_draw(self) -> bool:
        """Return False: it has no cursor."""
        return False

    def is_terminal(self) -> bool:
        """Return False."""
        return False


OUT, ERR = Stream("stdout"), Stream("stderr")
_NOWHERE = _Nowhere("stdout")
_IS_SILENT = ContextVar("madctl_is_silent", default=False)


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Silence everything called in this context, and the views created in it, even in other threads."""
    before = _IS_SILENT.set(True)
    try:
        yield
    finally:
        _IS_SILENT.reset(before)


def streams() -> tuple[Stream, Stream]:
    """Return the streams for standard output and standard error."""
    return (_NOWHERE, _NOWHERE) if _IS_SILENT.get() else (OUT, ERR)


def say(*texts: object) -> None:
    """Print lines on standard output."""
    streams()[0].lines(texts)


def tell(*texts: object) -> None:
    """Print lines on standard error."""
    streams()[1].lines(texts)


def can_ask() -> bool:
    """Return whether there is a person who can see and answer a question."""
    return sys.stdin is not None and sys.stdin.isatty() and ERR.is_terminal()


def agreed(question: str) -> bool:
    """Ask on the terminal, and return whether the answer is yes; an empty answer means no."""
    ERR.write(f"{plain(question)} [y/N] ")
    try:
        return sys.stdin.readline().strip().lower() in ("y", "yes")
    except (OSError, ValueError):
        return False  # The terminal is gone, or the input was not text.


def trace(error: BaseException) -> None:
    """Print the traceback of an error, if the user is debugging."""
    if os.environ.get(DEBUG):
        import traceback

        tell(*"".join(traceback.format_exception(error)).rstrip("\n").split("\n"))


def prepare() -> None:
    """
    Make the standard streams ready.

    If one is closed, the next file or socket would get its number, and would receive our output.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    OUT.prepare()
    ERR.prepare()


def leave() -> OSError | None:
    """Release the streams, and return the error that prevented output, unless its reader was gone."""
    OUT.leave()
    ERR.leave()
    return OUT.error


def _silence(stream: TextIO) -> None:
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    except (OSError, ValueError):
        return  # The stream has no descriptor.

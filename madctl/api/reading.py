# SPDX-License-Identifier: Apache-2.0
"""Read the output of a run as lines, from a thread that stops when the reader does."""

from __future__ import annotations

import argparse
import contextlib
import queue
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import answer_code
from ansible_collections.madctl.multinode.plugins.module_utils._request.variables import BY_OPTION
from madctl.api.following import Following
from madctl.api.keywords import text
from madctl.api.results import Line
from madctl.errors import RunError
from madctl.playbook.session import RunSession
from madctl.records.run_record import Record
from madctl.request.options import taking
from madctl.screen import terminal
from madctl.screen.log_view import Form
from madctl.screen.merging import LogLine
from madctl.verbs.logs import missing, reader

Some = Sequence[int | str] | int | str | None

_MOST = 10_000  # lines that wait for the reader
_LOOK_SECONDS = 0.5
_END = None


def options(*, rank: Some, host: Some, follow: bool, since: str | None, lines: int | None) -> argparse.Namespace:
    """
    Parse the options that select output.

    Raises:
        UsageError: If an option does not take a value.
    """

    def one(option: str, value: Any) -> Any:
        return None if value is None else taking(option, BY_OPTION[option].kind)(text(option[2:], value))

    def many(option: str, value: Some) -> list[Any]:
        return [
            one(option, entry)
            for entry in (value if isinstance(value, list | tuple | range) else [value])
            if entry is not None
        ]

    return argparse.Namespace(
        rank=many("--rank", rank),
        host=many("--host", host),
        follow=bool(follow),
        since=one("--since", since),
        lines=one("--lines", lines),
        attempt=None,
        output="text",
    )


class _Lines:
    """A bounded queue between the session, which waits while it is full, and the reader, which may stop early."""

    def __init__(self) -> None:
        self._queue: queue.Queue[LogLine | None] = queue.Queue(_MOST)
        self._is_left = threading.Event()

    def put(self, line: LogLine | None) -> None:
        """Hand over a line, or the mark that there are no more."""
        while not self._is_left.is_set():
            with contextlib.suppress(queue.Full):
                self._queue.put(line, timeout=_LOOK_SECONDS)
                return

    def leave(self) -> None:
        """Accept no more lines."""
        self._is_left.set()

    def __iter__(self) -> Iterator[Line]:
        while (line := self._queue.get()) is not _END:
            rank = int(line.rank) if line.rank.isdigit() else None
            yield Line(line.text, line.host, rank, line.stream, line.at or None)


def lines(record: Record, options: argparse.Namespace) -> Iterator[Line]:
    """
    Return the lines of a run; reading from its nodes begins with the first line that is requested.

    Raises:
        MadctlError: If there is nothing to read.
    """
    found = _Lines()
    with terminal.silence():
        session = reader(record, options, Form(taker=found.put))
    return _yielded(session, found)


def _yielded(session: RunSession, found: _Lines) -> Iterator[Line]:
    def read(following: Following) -> None:
        try:
            following.follow(session)
            session.view.close()
        finally:
            found.put(_END)

    following = Following(read)
    following.start()
    try:
        yield from found
        following.wait()
        if following.error is not None:
            raise following.error
        problems = missing(session.view.errors)
        if problems:
            raise RunError(answer_code([problem.code for problem in problems]), *problems)
    finally:
        found.leave()
        following.leave()

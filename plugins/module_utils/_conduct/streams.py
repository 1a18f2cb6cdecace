# SPDX-License-Identifier: Apache-2.0
"""
What goes over the controller's end of one agent's channel: calls of functions, and ways to supervisors.

A node may send anything and as much as it likes. Whatever is kept here has a bound. Private to the collection.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, Optional, Protocol

from ansible_collections.madctl.multinode.plugins.module_utils._common import node_answers, wire

# What one answer may have.
ANSWER_BYTES = 1 << 26

Answer = Dict[str, Any]


class Refused(Exception):  # noqa: N818  it is an answer of a node, not an error of ours
    """A node sent what it may not send."""


class Channel(Protocol):
    """The link that a stream is one of."""

    def tell(self, header: Dict[str, Any], payload: bytes = b"") -> None:
        """Send a frame."""

    def give(self, number: int, data: bytes) -> None:
        """Send bytes to a stream."""

    def forget(self, number: int) -> None:
        """End a stream, and hear nothing of it any more."""


class Stream:
    """What comes from one call or one supervisor, and what goes to it."""

    def __init__(self, link: Channel, number: int) -> None:
        self._link, self._number = link, number

    def give(self, data: bytes) -> None:
        """Send bytes to it."""
        self._link.give(self._number, data)

    def end_input(self) -> None:
        """Tell it that nothing more comes."""
        self._link.tell({"close": self._number})

    def drop(self) -> None:
        """End it; nothing is heard of it any more."""
        self._link.forget(self._number)

    def hear(self, data: bytes) -> None:
        """Take what it sent."""
        raise NotImplementedError

    def ended(self, why: Optional[str]) -> None:
        """Take down that nothing more comes; why, where its node is not to be heard any more."""
        raise NotImplementedError


class Relayed(Stream):
    """The way to a supervisor: bytes."""

    def __init__(self, link: Channel, number: int, heard: Callable[[bytes], None], over: Callable[[], None]) -> None:
        super().__init__(link, number)
        self._heard, self._over = heard, over

    def hear(self, data: bytes) -> None:
        """Pass on what it sent."""
        self._heard(data)

    def ended(self, why: Optional[str]) -> None:
        """Pass on that it is over."""
        del why
        self._over()


class Call(Stream):
    """
    A function that runs on a node.

    ``answered`` gets its answer once, in the shape of that function's, or ``failed`` with ``msg``; ``told`` its news
    while it runs; ``raw`` what it writes after the news that say so.
    """

    def __init__(
        self,
        link: Channel,
        number: int,
        function: str,
        answered: Callable[[Answer], None],
        told: Optional[Callable[[Dict[str, Any]], None]] = None,
        raw: Optional[Callable[[bytes], None]] = None,
    ) -> None:
        super().__init__(link, number)
        self._function, self._answered, self._told, self._raw = function, answered, told, raw
        self._kept = bytearray()
        self._seen = 0
        self._is_raw = False

    def hear(self, data: bytes) -> None:
        """
        Take what it wrote.

        Raises:
            Refused: If that is too much, or not what our functions write.
        """
        if self._is_raw and self._raw:
            self._raw(data)
            return
        self._kept += data
        if len(self._kept) > ANSWER_BYTES:
            raise Refused("it printed more than %d bytes" % ANSWER_BYTES)
        while not self._is_raw:
            end = self._kept.find(b"\n", self._seen)
            if end < 0:
                self._seen = len(self._kept)
                return
            line = bytes(self._kept[:end])
            del self._kept[: end + 1]
            self._seen = 0
            self._line(line)
        rest, self._kept = bytes(self._kept), bytearray()
        if rest and self._raw:
            self._raw(rest)

    def _line(self, line: bytes) -> None:
        if line[:1] == b"N" and self._told:
            try:
                news = wire.parse(line[1:])
            except wire.WireError as error:
                raise Refused(str(error)) from error
            if not node_answers.NEWS(news):
                raise Refused("these are no news: %r" % line[:80])
            self._is_raw = self._raw is not None
            self._told(news)
        elif line[:1] == b"A":
            try:
                self._answer(node_answers.checked(self._function, wire.parse(line[1:])))
            except wire.WireError as error:
                self._answer({"failed": True, "msg": "its answer cannot be read: %s" % error})

    def ended(self, why: Optional[str]) -> None:
        """Answer that there is none."""
        self._answer({"failed": True, "rc": None, "msg": why or "it ended without an answer"})

    def _answer(self, answer: Answer) -> None:
        answered, self._answered = self._answered, _nothing
        answered(answer)


def _nothing(_: Answer) -> None:
    """Take an answer that came before."""

# SPDX-License-Identifier: Apache-2.0
"""
The streams over one agent's channel: calls of our functions, and ways to supervisors. Private to the collection.

A node may send anything, and any amount. Everything kept here has a bound. Data that exceeds it, or that our functions
cannot have written, is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Dict, Optional, Protocol

from ansible_collections.madctl.multinode.plugins.module_utils._common import node_answers, wire

# The largest size of one answer.
ANSWER_BYTES = 1 << 26

Answer = Dict[str, Any]


class Carrier(Protocol):
    """What carries streams: an agent's channel."""

    def give(self, number: int, data: bytes) -> None:
        """Send bytes to a stream."""

    def tell(self, header: Dict[str, Any], payload: bytes = b"") -> None:
        """Send a frame."""

    def forget(self, number: int) -> None:
        """End a stream; nothing more comes from it."""


class Refused(Exception):  # noqa: N818  a node's answer, not an error of ours
    """A node sent something that it must not send."""


class Stream:
    """The bytes to and from one call or one supervisor."""

    def __init__(
        self, link: Carrier, number: int, hear: Callable[[bytes], None], ended: Callable[[Optional[str]], None]
    ) -> None:
        """
        Describe a new stream.

        Args:
            hear: Takes the bytes that it sends.
            ended: Called when it ends, with the reason if its node is lost.
        """
        self._link, self._number, self.hear, self.ended = link, number, hear, ended

    def give(self, data: bytes) -> None:
        """Send bytes to it."""
        self._link.give(self._number, data)

    def end_input(self) -> None:
        """Tell it that its input has ended."""
        self._link.tell({"close": self._number})

    def drop(self) -> None:
        """End it; it sends nothing more."""
        self._link.forget(self._number)


@dataclass(frozen=True)
class Task:
    """
    One of our functions to run on a node, and the callbacks that take its results.

    ``function`` is named like ``_arm.prove:prove``, and ``request``, JSON data, is its argument. ``answered`` gets its
    answer once, in the shape of that function's answers, or ``failed`` with ``msg``. After ``seconds`` the node ends
    it. ``told`` gets its news while it runs; a function without news takes no second argument. ``raw`` gets everything
    that it writes after its first news. ``started`` gets the call as soon as it is sent; ``is_wanted`` decides, once
    the agent has spoken, whether it is sent at all. A function that ``finishes`` notices by itself that it is no longer
    wanted, and must not be killed then. One that ``delivers`` writes our programs to files. ``arms`` is the directory
    of the run whose supervisor it starts, which the agent then follows until ``relay``.
    """

    function: str
    request: Any
    answered: Callable[[Answer], None]
    seconds: float = 0.0
    told: Optional[Callable[[Dict[str, Any]], None]] = None
    raw: Optional[Callable[[bytes], None]] = None
    started: Callable[[Call], None] = lambda _: None
    is_wanted: Callable[[], bool] = lambda: True
    finishes: bool = False
    delivers: bool = False
    arms: Optional[str] = None


class Call(Stream):
    """A task that runs on a node."""

    def __init__(self, link: Carrier, number: int, task: Task) -> None:
        super().__init__(link, number, self._hear, self._ended)
        self._function, self._told, self._raw = task.function.partition(":")[2], task.told, task.raw
        self._answered: Optional[Callable[[Answer], None]] = task.answered
        self._kept = bytearray()
        self._seen = 0
        self._is_raw = False

    def _hear(self, data: bytes) -> None:
        """
        Take the bytes that it wrote.

        Raises:
            Refused: If they are too many, or our functions cannot have written them.
            WireError: If its news cannot be parsed.
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
            news = wire.parse(line[1:])
            if not node_answers.NEWS(news):
                raise Refused("invalid news: %r" % line[:80])
            self._is_raw = self._raw is not None
            self._told(news)
        elif line[:1] == b"A":
            try:
                self._answer(node_answers.checked(self._function, wire.parse(line[1:])))
            except wire.WireError as error:
                self._answer({"failed": True, "msg": "its answer cannot be read: %s" % error})

    def _ended(self, why: Optional[str]) -> None:
        """Answer with the reason for the missing answer."""
        self._answer({"failed": True, "rc": None, "msg": why or "it ended without an answer"})

    def _answer(self, answer: Answer) -> None:
        answered, self._answered = self._answered, None
        if answered:
            answered(answer)

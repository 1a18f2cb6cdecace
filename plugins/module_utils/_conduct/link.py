# SPDX-License-Identifier: Apache-2.0
"""
The controller's end of one agent's channel: calls of functions there, and streams to supervisors.

A node may send anything and as much as it likes. Whatever is kept here has a bound; what goes beyond it, or is no
frame, is that node's error and ends its channel, nobody else's. Private to the collection.
"""

from __future__ import annotations

import json
import os
import re
import select
from typing import Any, Callable, Dict, List, Optional, Sequence, Set, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import wire
from ansible_collections.madctl.multinode.plugins.module_utils._common.event_loop import Loop
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import bundles
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.streams import (
    Answer,
    Call,
    Refused,
    Relayed,
    Stream,
)
from ansible_collections.madctl.multinode.plugins.module_utils._ways.way import Connection

PIECE = 1 << 18
# What login scripts print before our program speaks.
BEFORE_BYTES = 1 << 20
# What may wait for a node that does not read.
WAITING_BYTES = 1 << 26
_WORDS_BYTES = 1 << 12
_SHOWN = 400  # characters of them in a sentence
_GIVE_BYTES = 1 << 19
_VERSION = re.compile(rb"[0-9a-f]{4,16}")
# Once its output has ended, whatever carried the program is about to end as well.
_END_SECONDS, _LOOK_SECONDS = 2.0, 0.01
# A node ends a call in time by itself; one whose agent stands still is not waited for much longer.
LATE_SECONDS = 10.0


class Link:
    """One agent, from its start to its end; ``on_end`` hears why it is over, and whether it ever spoke."""

    def __init__(
        self,
        loop: Loop,
        connection: Connection,
        mark: str,
        on_ready: Callable[[], None],
        on_end: Callable[[str, Optional[int]], None],
    ) -> None:
        self._loop, self._connection, self._mark = loop, connection, b"\n" + mark.encode() + b" "
        self._on_ready, self._on_end = on_ready, on_end
        self._magic: Optional[str] = None
        self._before = bytearray(b"\n")
        self._decoder = wire.Decoder()
        self._streams: Dict[int, Stream] = {}
        self._numbers = 0
        self._known: Set[str] = set()
        self._waiting = bytearray()
        self._words = b""
        self._raw: Optional[Stream] = None
        self._is_ending = self.is_over = False
        self.sent = self.received = 0
        loop.watch(connection.link, self._read, is_node=True)
        if connection.words is not None:
            loop.watch(connection.words, self._read_words)

    @property
    def is_ready(self) -> bool:
        """Whether the agent has spoken."""
        return self._magic is not None

    @property
    def is_idle(self) -> bool:
        """Whether it takes calls and has none to answer."""
        return self.is_open and not self._streams

    @property
    def is_open(self) -> bool:
        """Whether it takes calls."""
        return self.is_ready and self._raw is None and not self._is_ending and not self.is_over

    # -- requests -------------------------------------------------------------------------------

    def call(
        self,
        function: str,
        request: Any,
        seconds: float,
        answered: Callable[[Answer], None],
        told: Optional[Callable[[Dict[str, Any]], None]] = None,
        raw: Optional[Callable[[bytes], None]] = None,
        finishes: bool = False,
        delivers: bool = False,
        arms: Optional[str] = None,
    ) -> Call:
        """
        Call a function of ours on the node.

        Args:
            function: Such as ``_arm.prove:prove``.
            request: What it takes, JSON data.
            seconds: When the node ends it.
            answered: Gets the answer.
            told: Gets news while it runs; a function that tells none takes no second argument.
            raw: Gets what it writes after its first news.
            finishes: Whether it notices by itself that nobody asks any more, and must not be killed then.
            delivers: Whether it writes our programs to files.
            arms: The directory of the run whose supervisor it starts, which is then followed until ``relay``.
        """
        module, _, name = function.partition(":")
        self._load(bundles.closure(module))
        if delivers:
            self._load(bundles.programs(), as_text=True)
        self._numbers += 1
        call = Call(self, self._numbers, name, answered, told, raw)
        self._streams[self._numbers] = call
        words = {"call": self._numbers, "module": module, "function": name, "seconds": seconds}
        self.tell({**words, "speaks": told is not None, "finishes": finishes, "arms": arms})
        self.give(self._numbers, _request(request))
        number = self._numbers
        self._loop.after(seconds + LATE_SECONDS, lambda: self._late(number, seconds, None))
        return call

    def _late(self, number: int, seconds: float, received: Optional[int]) -> None:
        """
        Answer for a node that says nothing, not even that a call was ended.

        Args:
            received: What had been read when it was looked at before.
        """
        stream = self._streams.get(number)
        if stream is None:
            return
        poll = select.poll()
        poll.register(self._connection.link, select.POLLIN)
        if self._is_ending or poll.poll(0) and received in (None, self.received):
            # It has spoken, and nobody has listened since.
            before = self.received
            self._loop.after(_LOOK_SECONDS, lambda: self._late(number, seconds, before))
            return
        self.forget(number)
        stream.ended("it did not answer in %g s" % seconds)

    def become(
        self,
        function: str,
        request: Any,
        answered: Callable[[Answer], None],
        told: Callable[[Dict[str, Any]], None],
        raw: Callable[[bytes], None],
    ) -> Call:
        """Have the whole channel be one function's from now on: no byte of it is framed."""
        module, _, name = function.partition(":")
        self._load(bundles.closure(module))
        call = Call(self, 0, name, answered, told, raw)
        self.tell({"become": True, "module": module, "function": name})
        self._raw = self._streams[0] = call
        self.give(0, _request(request))
        return call

    def relay(self, directory: str, heard: Callable[[bytes], None], over: Callable[[], None]) -> Relayed:
        """Connect with the supervisor of a run."""
        self._numbers += 1
        stream = Relayed(self, self._numbers, heard, over)
        self._streams[self._numbers] = stream
        self.tell({"relay": self._numbers, "directory": directory})
        return stream

    def _load(self, wanted: Sequence[str], as_text: bool = False) -> None:
        """Send what the agent does not have yet."""
        assert self._magic is not None
        names = bundles.missing(wanted, () if as_text else self._known)
        if names:
            texts = frozenset(names) if as_text else frozenset()
            self.tell({"load": True}, bundles.packed(tuple(names), texts, self._magic))
            self._known.update(names)

    def tell(self, header: Dict[str, Any], payload: bytes = b"") -> None:
        """Send a frame, as soon as the agent takes it."""
        self._send(wire.encode(header, payload))

    def give(self, number: int, data: bytes) -> None:
        """Send bytes to a stream."""
        if self._raw is not None:
            self._send(data)
            return
        for at in range(0, len(data), _GIVE_BYTES):
            self.tell({"give": number}, data[at : at + _GIVE_BYTES])

    def forget(self, number: int) -> None:
        """End a stream, and hear nothing of it any more."""
        if self._streams.pop(number, None) is None or self.is_over:
            return
        if self._raw is not None:
            self.close()
        else:
            self.tell({"drop": number})

    # -- bytes ----------------------------------------------------------------------------------

    def _send(self, data: bytes) -> None:
        if not self._is_ending and not self.is_over:
            self._waiting += data
            self._flush()
            if len(self._waiting) > WAITING_BYTES:
                # Not at once: whoever sends may be going through all nodes.
                self._waiting.clear()
                self._loop.after(0.0, lambda: self.close("it takes nothing of what is sent to it"))

    def _flush(self) -> None:
        link = self._connection.link
        try:
            while self._waiting:
                count = link.send(memoryview(self._waiting)[:PIECE])
                self.sent += count
                del self._waiting[:count]
        except BlockingIOError:
            pass
        except OSError:
            self._waiting.clear()  # Why it does not listen any more is heard by reading.
        self._loop.write(link, self._flush if self._waiting else None)

    def _read(self) -> None:
        try:
            data = self._connection.link.recv(PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.received += len(data)
        try:
            if not data:
                self._ended()
            elif self._magic is None:
                self._greet(data)
            elif self._raw is not None:
                self._raw.hear(data)
            else:
                self._hear(data)
        except (Refused, wire.WireError) as error:
            self.close(str(error))

    def _greet(self, data: bytes) -> None:
        """Wait for the agent's first words, whatever a login script printed before."""
        self._before += data
        at = self._before.find(self._mark)
        end = self._before.find(b"\n", at + 1) if at >= 0 else -1
        if end < 0:
            if len(self._before) > BEFORE_BYTES:
                raise Refused("it printed more than %d bytes" % BEFORE_BYTES)
            return
        magic = bytes(self._before[at + len(self._mark) : end])
        if not _VERSION.fullmatch(magic):
            raise Refused("its Python says no version: %r" % magic[:40])
        rest = bytes(self._before[end + 1 :])
        self._before.clear()
        self._magic = magic.decode()
        self._send(bundles.first(self._magic))
        self._known.update(bundles.closure("_node.agent"))
        self._on_ready()
        if rest:
            self._hear(rest)

    def _hear(self, data: bytes) -> None:
        for header, payload in self._decoder.feed(data):
            number = header.get("of")
            if type(number) is not int:
                raise Refused("it sent what no agent sends: %r" % str(header)[:80])
            stream = self._streams.get(number)
            if stream is None:
                continue  # It was given up, and does not know yet.
            if "ended" in header:
                del self._streams[number]
                stream.ended(None)
            else:
                stream.hear(payload)
            if self.is_over:
                return

    def _read_words(self) -> None:
        assert self._connection.words is not None
        try:
            piece = os.read(self._connection.words, PIECE)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        self._words = (self._words + piece)[-_WORDS_BYTES:]
        if not piece:
            self._loop.unwatch(self._connection.words)

    # -- the end --------------------------------------------------------------------------------

    def _ended(self) -> None:
        """Wait for the exit code of what carried it, which comes a moment later."""
        self._is_ending = True
        self._loop.unwatch(self._connection.link)
        self._look(_END_SECONDS)

    def _look(self, seconds: float) -> None:
        if self.is_over:
            return
        code = self._connection.code()
        if code is None and self._connection.words is not None and seconds > 0:
            self._loop.after(_LOOK_SECONDS, lambda: self._look(seconds - _LOOK_SECONDS))
            return
        if self._connection.words is not None:
            self._read_words()
        # Whole: what is said of a cause may stand before twenty lines of advice.
        said = bytes(self._before[-_SHOWN:]) + b"\n" + self._words if self._magic is None else self._words
        self._over(said.decode(errors="replace").strip(), code)

    def close(self, why: str = "it was given up", code: Optional[int] = None) -> None:
        """End the agent, and all that it does, as if what carried it had ended with a code."""
        if not self.is_over:
            self._over(why, code)

    def _over(self, why: str, code: Optional[int]) -> None:
        self.is_over = True
        self._loop.unwatch(self._connection.link)
        if self._connection.words is not None:
            self._loop.unwatch(self._connection.words)
        self._connection.close()
        streams: List[Tuple[int, Stream]] = list(self._streams.items())
        self._streams.clear()
        for _, stream in streams:
            stream.ended("the connection ended" + (": %s" % " ".join(why.split())[-_SHOWN:] if why else ""))
        self._on_end(why, code)


def _request(request: Any) -> bytes:
    data = json.dumps(request).encode()
    return b"%08x%s" % (len(data), data)

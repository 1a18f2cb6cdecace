# SPDX-License-Identifier: Apache-2.0
"""
The controller's end of one agent: calls of functions on the node, and streams to supervisors.

Anything that is not a frame is an error of that node, and ends only its channel. Private to the collection.
"""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, Optional, Sequence, Set

from ansible_collections.madctl.multinode.plugins.module_utils._common import wire
from ansible_collections.madctl.multinode.plugins.module_utils._common.event_loop import Loop
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import bundles, streams
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.channel import SHOWN, Channel
from ansible_collections.madctl.multinode.plugins.module_utils._ways.way import Connection

_GIVE_BYTES = 1 << 19
_LOOK_SECONDS = 0.01
# A node ends a call in time by itself. If its agent hangs, the controller does not wait much longer.
LATE_SECONDS = 10.0


class Link:
    """One agent, from its start to its end; ``on_end`` gets the reason, and the exit code of what carried it."""

    def __init__(
        self,
        loop: Loop,
        connection: Connection,
        mark: str,
        on_ready: Callable[[], None],
        on_end: Callable[[str, Optional[int]], None],
    ) -> None:
        self._loop, self._on_ready, self._on_end = loop, on_ready, on_end
        self._version: Optional[str] = None
        self._decoder = wire.Decoder()
        self._streams: Dict[int, streams.Stream] = {}
        self._numbers = 0
        self._known: Set[str] = set()
        self._raw: Optional[streams.Stream] = None
        self.channel = Channel(loop, connection, mark, self._spoken, self._hear, self._ended)
        self.close = self.channel.close

    @property
    def is_ready(self) -> bool:
        """Whether the agent has spoken."""
        return self._version is not None

    @property
    def is_idle(self) -> bool:
        """Whether it accepts calls and has none to answer."""
        return self.is_open and not self._streams

    @property
    def is_open(self) -> bool:
        """Whether it accepts calls."""
        return self.is_ready and self._raw is None and not self.channel.is_ending and not self.channel.is_over

    # -- requests -------------------------------------------------------------------------------

    def call(self, task: streams.Task) -> streams.Call:
        """Call a function of ours on the node."""
        self._numbers += 1
        number, words = self._numbers, {"seconds": task.seconds, "finishes": task.finishes, "arms": task.arms}
        call = self._begin(number, task, {"call": number, "speaks": task.told is not None, **words})
        self.give(number, _request(task.request))
        self._loop.after(task.seconds + LATE_SECONDS, lambda: self._late(number, task.seconds, None))
        return call

    def _begin(self, number: int, task: streams.Task, header: Dict[str, Any]) -> streams.Call:
        """Send a function with everything that it needs, and the order to call it."""
        module, _, name = task.function.partition(":")
        self._load(bundles.closure(module))
        if task.delivers:
            self._load(bundles.programs(), as_text=True)
        self._streams[number] = call = streams.Call(self, number, task)
        self.tell({**header, "module": module, "function": name})
        return call

    def _late(self, number: int, seconds: float, received: Optional[int]) -> None:
        """
        Answer for a node that sends nothing, not even that a call was ended.

        Args:
            received: How much had been read when this was checked before.
        """
        stream, channel = self._streams.get(number), self.channel
        if stream is None:
            return
        if channel.is_ending or received in (None, channel.received) and channel.has_unread():
            # It has answered, and we have not read the answer yet.
            before = channel.received
            self._loop.after(_LOOK_SECONDS, lambda: self._late(number, seconds, before))
            return
        self.forget(number)
        stream.ended("it did not answer in %g s" % seconds)

    def become(self, task: streams.Task) -> streams.Call:
        """Give the whole channel to one function from now on; none of its bytes are framed."""
        self._raw = call = self._begin(0, task, {"become": True})
        self.give(0, _request(task.request))
        return call

    def relay(self, directory: str, heard: Callable[[bytes], None], over: Callable[[], None]) -> streams.Stream:
        """Connect to the supervisor of a run."""
        self._numbers += 1
        stream = streams.Stream(self, self._numbers, heard, lambda _: over())
        self._streams[self._numbers] = stream
        self.tell({"relay": self._numbers, "directory": directory})
        return stream

    def _load(self, wanted: Sequence[str], as_text: bool = False) -> None:
        """Send what the agent does not have yet."""
        assert self._version is not None
        names = tuple(name for name in wanted if as_text or name not in self._known)
        if names:
            texts = frozenset(names if as_text else ())
            self.tell({"load": True}, bundles.packed(names, texts, self._version))
            self._known.update(names)

    def tell(self, header: Dict[str, Any], payload: bytes = b"") -> None:
        """Send a frame as soon as the agent accepts it."""
        self.channel.send(wire.encode(header, payload))

    def give(self, number: int, data: bytes) -> None:
        """Send bytes to a stream."""
        if self._raw is not None:
            self.channel.send(data)
            return
        for at in range(0, len(data), _GIVE_BYTES):
            self.tell({"give": number}, data[at : at + _GIVE_BYTES])

    def forget(self, number: int) -> None:
        """End a stream; it receives nothing more."""
        if self._streams.pop(number, None) is None or self.channel.is_over:
            return
        if self._raw is not None:
            self.close()
        else:
            self.tell({"drop": number})

    # -- answers --------------------------------------------------------------------------------

    def _spoken(self, version: str) -> None:
        self._version = version
        self.channel.send(bundles.first(version))
        self._known.update(bundles.closure("_node.agent"))
        self._on_ready()

    def _hear(self, data: bytes) -> None:
        if self._raw is not None:
            self._raw.hear(data)
            return
        for header, payload in self._decoder.feed(data):
            number = header.get("of")
            if type(number) is not int:
                raise streams.Refused("it sent something that is not an answer of an agent: %r" % str(header)[:80])
            stream = self._streams.get(number)
            if stream is None:
                continue  # It was given up, and the node does not know that yet.
            if "ended" in header:
                del self._streams[number]
                stream.ended(None)
            else:
                stream.hear(payload)
            if self.channel.is_over:
                return

    def _ended(self, why: str, code: Optional[int]) -> None:
        unanswered, self._streams = self._streams, {}
        for stream in unanswered.values():
            stream.ended("the connection ended" + (": %s" % " ".join(why.split())[-SHOWN:] if why else ""))
        self._on_end(why, code)


def _request(request: Any) -> bytes:
    data = json.dumps(request).encode()
    return b"%08x%s" % (len(data), data)

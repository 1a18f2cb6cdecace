# SPDX-License-Identifier: Apache-2.0
"""
Serve one channel on a node: run our functions, and connect the controller with supervisors.

One Python start serves everything. A function runs in a child that is forked from this warm interpreter, with a
deadline, so that one that hangs or crashes does not affect the others. The channel is standard input and output;
frames are those of ``wire``. From the controller:

    {"load": true} + modules              what may be imported from now on
    {"call": N, "module", "function", "seconds", "speaks", "finishes", "arms"}
    {"relay": N, "directory"}             connect stream N with the supervisor of a run
    {"give": N} + bytes                   for the standard input of call N, or the supervisor
    {"close": N}                          nothing more comes for it
    {"drop": N}                           end it
    {"become": true, "module", "function"}  give the channel to that function from now on

and to the controller ``{"of": N} + bytes``, then ``{"of": N, "ended": STATUS}``. A call reads its arguments from its
standard input, a length of eight hexadecimal digits and that many bytes of JSON, and writes lines: ``N`` with news,
``A`` with its answer. When the channel ends, everything that was started is ended, except calls that ``finish``: these
notice the end by themselves, and may use the rest of their time. The agent follows what a call ``arms`` until the
controller does, so that it never waits without a follower. Invalid data ends the channel. Private to the collection.
"""

from __future__ import annotations

import gc
import os
import select
import socket
import time
from typing import Any, Dict, Optional, Set

from ansible_collections.madctl.multinode.plugins.module_utils._common import wire
from ansible_collections.madctl.multinode.plugins.module_utils._node import agent_calls, own_sources, sessions, title
from ansible_collections.madctl.multinode.plugins.module_utils._node.agent_calls import PIECE, Stream

# How many bytes may be queued for a controller, or for a function, that does not read.
OUT_MOST, IN_MOST = 1 << 20, 1 << 26
STREAMS_MOST = 1 << 10
_REAP_SECONDS, _LOOK_SECONDS = 0.5, 0.01
# The kernel bounds how long poll can wait; a deadline may be further away.
_PATIENCE_SECONDS = 3600.0


class Agent:
    """One channel, served to its end."""

    def __init__(self, channel_in: int, channel_out: int) -> None:
        self._in, self._out = channel_in, channel_out
        self._decoder = wire.Decoder()
        self._waiting = bytearray()
        self._streams: Dict[int, Stream] = {}
        # Children that only have to be collected, and how long to wait for them.
        self._ended: Dict[int, Stream] = {}
        # Supervisors that the controller does not follow yet, by their directories, and those that it follows.
        self._armed: Dict[str, socket.socket] = {}
        self._relayed: Set[str] = set()
        self._is_open = True
        os.set_blocking(channel_out, False)

    # -- the loop -------------------------------------------------------------------------------

    def serve(self) -> None:
        """Serve until the channel has ended, and so has every call that finishes by itself."""
        while self._is_open or self._ended or any(stream.pid for stream in self._streams.values()):
            self._turn()

    def _turn(self) -> None:
        poll = select.poll()
        by_descriptor: Dict[int, Stream] = {}
        for stream in self._streams.values():
            wanted = (0 if self._is_full else select.POLLIN) | (select.POLLOUT if stream.waiting else 0)
            # poll reports the end of a socket even if no event is requested, again and again.
            if wanted:
                by_descriptor[stream.link.fileno()] = stream
                poll.register(stream.link, wanted)
        if self._is_open:
            poll.register(self._in, select.POLLIN)
            if self._waiting:
                poll.register(self._out, select.POLLOUT)
        for descriptor, _ in poll.poll(self._patience()):
            if descriptor in by_descriptor:
                self._serve(by_descriptor[descriptor])
            elif descriptor == self._in:
                self._hear()
        self._send()
        self._watch_clock()

    def _patience(self) -> float:
        if self._ended:
            return _LOOK_SECONDS * 1000
        known = [stream.deadline for stream in self._streams.values() if stream.deadline is not None]
        patience = max(0.0, min(known) - time.monotonic()) if known else _PATIENCE_SECONDS
        return min(patience, _PATIENCE_SECONDS) * 1000 + 1

    @property
    def _is_full(self) -> bool:
        return len(self._waiting) >= OUT_MOST

    def _watch_clock(self) -> None:
        now = time.monotonic()
        for stream in list(self._streams.values()):
            if stream.deadline is not None and now >= stream.deadline:
                self._end(stream)
        for stream in list(self._ended.values()):
            pid, status = os.waitpid(stream.pid or 0, os.WNOHANG)
            if not pid and stream.finishes and now >= (stream.deadline or 0.0):
                stream.finishes, stream.deadline = False, now + _REAP_SECONDS
                sessions.end(stream.pid or 0)
            elif pid or now >= (stream.deadline or 0.0):
                # A process that hangs in the kernel is left alone.
                del self._ended[stream.number]
                self._care(stream, status if pid else None)
                self._tell({"of": stream.number, "ended": status if pid else None})

    # -- the channel ----------------------------------------------------------------------------

    def _hear(self) -> None:
        try:
            data = os.read(self._in, PIECE)
        except OSError:
            data = b""
        if not data:
            self._hang_up()
        try:
            for header, payload in self._decoder.feed(data):
                self._obey(header, payload)
        except Exception:  # noqa: BLE001  after invalid data nothing can be trusted
            self._hang_up()

    def _tell(self, header: Dict[str, Any], payload: bytes = b"") -> None:
        if self._is_open:
            self._waiting += wire.encode(header, payload)

    def _send(self) -> None:
        try:
            while self._waiting and self._is_open:
                del self._waiting[: os.write(self._out, memoryview(self._waiting)[:PIECE])]
        except BlockingIOError:
            return
        except OSError:
            self._hang_up()

    def _hang_up(self) -> None:
        """End everything that was started, except calls that finish by themselves."""
        self._is_open = False
        self._waiting.clear()
        while self._armed:
            self._armed.popitem()[1].close()
        for stream in list(self._streams.values()):
            if stream.finishes:
                stream.link.close()
                del self._streams[stream.number]
                self._ended[stream.number] = stream
            else:
                self._end(stream)

    # -- requests -------------------------------------------------------------------------------

    def _obey(self, header: Dict[str, Any], payload: bytes) -> None:
        if header.get("load"):
            own_sources.install().add(payload)
        elif header.get("become"):
            self._become(header)
        elif "call" in header:
            self._call(self._fresh(header["call"]), float(header["seconds"]), header)
        elif "relay" in header:
            self._relay(self._fresh(header["relay"]), header["directory"])
        else:
            number = header.get("give", header.get("close", header.get("drop")))
            stream = self._streams.get(number) if isinstance(number, int) else None
            if stream is not None:
                self._give(stream, header, payload)

    def _fresh(self, number: Any) -> int:
        """
        Return the number of a new stream.

        Raises:
            ValueError: If it is not a number, or already in use.
        """
        if type(number) is not int or number in self._streams or number in self._ended:
            raise ValueError(number)
        return number

    def _give(self, stream: Stream, header: Dict[str, Any], payload: bytes) -> None:
        if "drop" in header:
            self._end(stream)
            return
        stream.waiting += payload
        stream.is_closing = stream.is_closing or "close" in header
        if len(stream.waiting) > IN_MOST:
            self._end(stream)
        else:
            stream.feed()

    def _call(self, number: int, seconds: float, header: Dict[str, Any]) -> None:
        if not seconds > 0:
            raise ValueError(seconds)
        # The function is imported here, once for all calls, and before the time of this one starts.
        ours, theirs = socket.socketpair()
        try:
            if len(self._streams) >= STREAMS_MOST:
                raise OSError("too many calls at once")
            function = agent_calls.function(header)
            pid = os.fork()
        except Exception as error:  # noqa: BLE001  it concerns this call alone
            ours.close()
            theirs.close()
            self._tell({"of": number}, agent_calls.answered(agent_calls.failure(error)))
            self._tell({"of": number, "ended": 0})
            return
        if not pid:
            # Including the child's own other end: while it is open, the end of the call is not noticed.
            held = [ours, *(stream.link for stream in self._streams.values()), *self._armed.values()]
            agent_calls.run(theirs, held, (self._in, self._out), function, bool(header.get("speaks")))
        theirs.close()
        stream = Stream(number, ours, pid, time.monotonic() + seconds)
        stream.finishes, stream.arms = bool(header.get("finishes")), header.get("arms")
        self._streams[stream.number] = stream

    def _become(self, header: Dict[str, Any]) -> None:
        for stream in list(self._streams.values()):
            if not stream.finishes:
                self._end(stream)
        os.set_blocking(self._out, True)
        gc.enable()
        while self._armed:
            self._armed.popitem()[1].close()
        self._send()
        agent_calls.call(lambda *given: agent_calls.function(header)(*given), speaks=True, before=self._decoder.rest)
        os._exit(0)

    def _relay(self, number: int, directory: str) -> None:
        gc.enable()  # From now on this process may live as long as the run.
        link = None
        if len(self._streams) < STREAMS_MOST and isinstance(directory, str):
            self._relayed.add(directory)
            link = self._armed.pop(directory, None) or agent_calls.connected(directory)
        if link is None:
            self._tell({"of": number, "ended": 1})
        else:
            self._streams[number] = Stream(number, link, None, None)

    def _care(self, stream: Stream, status: Optional[int]) -> None:
        """Follow what a call armed until the controller does; otherwise connect and hang up, which disarms it."""
        directory = stream.arms
        if directory is None or directory in self._relayed or status == agent_calls.NOT_ARMED << 8:
            return
        link = agent_calls.connected(directory)
        if link is not None and self._is_open and status == 0:
            self._armed[directory] = link
        elif link is not None:
            link.close()

    # -- streams --------------------------------------------------------------------------------

    def _serve(self, stream: Stream) -> None:
        if stream.waiting:
            stream.feed()
        if self._is_full:
            return
        try:
            data = stream.link.recv(PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._tell({"of": stream.number}, data)
        else:
            self._end(stream)

    def _end(self, stream: Stream) -> None:
        """End a stream, and everything that its call started in its own session."""
        del self._streams[stream.number]
        stream.link.close()
        if stream.pid is None:
            self._tell({"of": stream.number, "ended": 0})
            return
        sessions.end(stream.pid)
        stream.finishes = False
        stream.deadline = time.monotonic() + _REAP_SECONDS
        self._ended[stream.number] = stream


def main() -> None:
    """Serve standard input and output."""
    title.become(["madctl", "agent"])
    Agent(0, 1).serve()
    os._exit(0)

# SPDX-License-Identifier: Apache-2.0
"""Followers whose nodes are sockets that a test holds the other end of."""

import select
import socket

from ansible_collections.madctl.multinode.plugins.module_utils._common.event_loop import Loop
from ansible_collections.madctl.multinode.plugins.module_utils._follow.follower import Follower
from tests.unit.module_utils.ways import WAYS


class Channel:
    """The way into one supervisor, over a socket of the loop's."""

    def __init__(self, loop, follower, host, link):
        self._loop, self._follower, self._host, self.link = loop, follower, host, link
        self._waiting = bytearray()
        link.setblocking(False)
        loop.watch(link, self._read, is_node=True)

    def give(self, data):
        self._waiting += data
        self._write()

    def _write(self):
        try:
            while self._waiting:
                del self._waiting[: self.link.send(self._waiting)]
        except BlockingIOError:
            pass
        except OSError:
            self._waiting.clear()
        self._loop.write(self.link, self._write if self._waiting else None)

    def drop(self):
        self._loop.unwatch(self.link)
        self.link.close()

    def _read(self):
        try:
            data = self.link.recv(1 << 16)
        except OSError:
            data = b""
        if data:
            self._follower.heard(self._host, data)
        else:
            self.drop()
            self._follower.ended(self._host)

    def has_unread(self):
        """Return whether bytes arrived that the follower has not read yet."""
        return self.link.fileno() >= 0 and bool(select.select([self.link], [], [], 0)[0])


class Followed:
    """A follower, its loop, and the nodes' ends of its channels."""

    def __init__(self, plan, tell=lambda *_: None, **how):
        self.loop = Loop()
        self.follower = Follower(plan, tell, self.loop, WAYS, **how)

    def connect(self, host):
        """Open a channel to a node, and give the node's end."""
        ours, theirs = socket.socketpair()
        self.follower.armed(host, Channel(self.loop, self.follower, host, ours))
        theirs.settimeout(60)
        return theirs

    def send(self, host, end, data):
        """Send from a node, and let the follower hear as much of it as it wants."""
        end.setblocking(False)
        channel = self.follower.channels.get(host)
        while self.follower.channels.get(host) is channel and channel and (data or channel.has_unread()):
            try:
                data = data[end.send(data[: 1 << 16]) :] if data else data
            except BlockingIOError:
                pass
            except OSError:
                break
            self.loop.turn(0)
        end.settimeout(60)

    def hang_up(self, host, end):
        """End a node's channel, and let the follower hear of it."""
        end.close()
        while host in self.follower.channels:
            self.loop.turn(60)

    def close(self):
        """Close everything that is open here."""
        for channel in self.follower.channels.values():
            channel.drop()
        self.loop.close()

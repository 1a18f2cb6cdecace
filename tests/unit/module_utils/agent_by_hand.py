# SPDX-License-Identifier: Apache-2.0
"""An agent as a real process, whose channel a test controls."""

import collections
import fcntl
import json
import marshal
import os
import socket
import subprocess
import sys
import termios
import time
import zlib

from ansible_collections.madctl.multinode.plugins.module_utils._common import wire
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import bundles

# What tests call on an agent.
FUNCTIONS = '''
import os, sys, time

def echo(given):
    return {"got": given}

def speak(given, tell):
    for number in range(given):
        tell({"number": number})
    return {"said": given}

def fail(given):
    raise ValueError("one\\ntwo")

def leave(given):
    sys.exit(3)

def crash(given):
    os.kill(os.getpid(), 9)

def nothing_to_say(given):
    return {"odd": object()}

def hang(path):
    """Run two processes that ignore signals, and report them."""
    import signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = os.fork()
    if child:
        with open(path + ".new", "w") as stream:
            stream.write("%d %d" % (os.getpid(), child))
        os.rename(path + ".new", path)
    while True:
        time.sleep(60)

def read_all(given):
    size = 0
    while True:
        piece = os.read(0, 65536)
        if not piece:
            return {"size": size}
        size += len(piece)

def notice(path):
    """Write a file when the channel has ended."""
    while os.read(0, 65536):
        pass
    with open(path + ".new", "w") as stream:
        stream.write("noticed")
    os.rename(path + ".new", path)

def flood(given):
    while True:
        os.write(1, b"x" * 65536)

def streams(given):
    """Return the open descriptors."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = os.readlink("/proc/self/fd/" + name)
        except OSError:
            pass
    return {"found": found}

def orders(given, tell):
    """Take over the channel."""
    tell({"frames": True})
    while True:
        piece = os.read(0, 65536)
        os.write(1, piece.upper())
        if not piece or piece.endswith(b"."):
            return {}

def command_line(words):
    """Take the command line of a supervisor, and return what ps shows."""
    from ansible_collections.madctl.multinode.plugins.module_utils._node import title
    fits = title.become(words)
    with open("/proc/self/cmdline", "rb") as stream:
        return {"fits": fits, "shown": stream.read().rstrip(b"\\0").decode("utf-8", "surrogateescape").split("\\0")}
'''
_SECONDS = 60.0


def until(condition, seconds=_SECONDS):
    """Wait for a condition, and return it."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.005)
    return found


def request(argument):
    """Return the request that a function reads."""
    data = json.dumps(argument).encode()
    return b"%08x%s" % (len(data), data)


def state(pid):
    """Return the state letter of a process; None where it does not exist."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stream:
            return stream.read().rpartition(b")")[2].split()[0].decode()
    except (FileNotFoundError, ProcessLookupError):
        return None


def is_gone(pid):
    """Return whether a process has ended, even if it was not collected yet."""
    return state(pid) in (None, "Z")


class Agent:
    """An agent, and the controller's end of its channel."""

    def __init__(self):
        self.channel, theirs = socket.socketpair()
        self.channel.settimeout(_SECONDS)
        command = [sys.executable, "-I", "-S", "-c", bundles.boot("mark")]
        self.process = subprocess.Popen(command, stdin=theirs, stdout=theirs)
        theirs.close()
        self.heard = collections.defaultdict(bytearray)
        self.ended = {}
        self._decoder = wire.Decoder()
        said = b""
        while said.count(b"\n") < 2:
            said += self.channel.recv(1 << 16)
        assert said.startswith(b"\nmark "), said
        self.channel.sendall(bundles.first(said.split()[1].decode()))
        self.load({"_tests.functions": FUNCTIONS}, "_node.title")

    def load(self, texts, *modules):
        parts = {name: (text, None) for name, text in texts.items()}
        parts.update({name: (bundles.own_sources.text(name), None) for name in bundles.closure(*modules)})
        self.tell({"load": True}, zlib.compress(marshal.dumps(parts, 2)))

    def tell(self, header, payload=b""):
        self.channel.sendall(wire.encode(header, payload))

    def begin(self, number, function, argument=None, seconds=30.0, **more):
        words = {"call": number, "module": "_tests.functions", "function": function, "seconds": seconds}
        self.tell({**words, "speaks": False, "finishes": False, **more})
        self.tell({"give": number}, request(argument))

    def read(self):
        """Read once; False where nothing more comes."""
        data = self.channel.recv(1 << 16)
        for header, payload in self._decoder.feed(data):
            assert header["of"] not in self.ended, "it continues after its end"
            if "ended" in header:
                self.ended[header["of"]] = header["ended"]
            else:
                self.heard[header["of"]] += payload
        return bool(data)

    def wait_end(self, number):
        """Wait for the end of a stream."""
        while number not in self.ended:
            assert self.read(), "the agent has ended"

    def wait(self, number):
        """Wait for the end of a stream, and give what came of it, a line each."""
        self.wait_end(number)
        return [(chr(line[0]), json.loads(line[1:])) for line in bytes(self.heard[number]).splitlines()]

    def call(self, number, function, argument=None, **more):
        self.begin(number, function, argument, **more)
        return self.wait(number)

    @property
    def children(self):
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as stream:
            return [int(word) for word in stream.read().split()]

    def ticks(self):
        """Return the processor time that it has used."""
        with open(f"/proc/{self.process.pid}/stat", "rb") as stream:
            fields = stream.read().rpartition(b")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def unread(self):
        """Return how many bytes it has not read yet."""
        return int.from_bytes(fcntl.ioctl(self.channel, termios.TIOCOUTQ, bytes(4)), sys.byteorder)

    def resident(self):
        """Return its memory in bytes."""
        with open(f"/proc/{self.process.pid}/statm") as stream:
            return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def close(self):
        self.channel.close()
        try:
            self.process.wait(_SECONDS)
        finally:
            self.process.kill()
            self.process.wait()

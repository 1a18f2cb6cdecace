# SPDX-License-Identifier: Apache-2.0
"""Three kinds of ways to nodes that are all this machine: a child, a stand-in for ssh, and an agent that dials in."""

import socket
import subprocess
import sys

from ansible_collections.madctl.multinode.plugins.module_utils._ways import local, ssh, way

_DIAL = """\
import os, socket, sys
link = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
for descriptor in (0, 1):
    os.dup2(link.fileno(), descriptor)
link.close()
os.execv("/bin/sh", ["sh", "-c", sys.argv[2]])
"""
# What ssh does with a command on the node; the only option that it knows is the one that ends a connection.
_STAND_IN = """\
#!/bin/sh
for word; do
    [ "$word" = -O ] && exit 0
    last=$word
done
exec /bin/sh -c "exec $last"
"""
_SECONDS = 60.0


def stand_in_for_ssh(place):
    """Write the program that stands for ssh, and return its path."""
    program = place / "ssh"
    program.write_text(_STAND_IN)
    program.chmod(0o755)
    return str(program)


class Noted(way.Way):
    """A way that keeps what it started."""

    def __init__(self, *words):
        super().__init__(*words)
        self.connections, self.pids = [], []

    def start(self, command, seconds=None):
        self.connections.append(super().start(command, seconds))
        self.pids.append(self.connections[-1]._process.pid)
        return self.connections[-1]


class Local(Noted, local.Local):
    """Children of this process."""

    def __init__(self, host, place):
        super().__init__(host, sys.executable)


class Ssh(Noted, ssh.Ssh):
    """A program instead of ssh, which runs the command here."""

    def __init__(self, host, place):
        super().__init__(host, sys.executable, ssh.Login([stand_in_for_ssh(place), "-q"], host, host))


class DialIn(way.Way):
    """An agent that is started by hand and dials in; what carries it, and its exit code, are unknown."""

    def __init__(self, host, place):
        super().__init__(host, sys.executable)
        self.connections, self.pids, self._processes = [], [], []

    def start(self, command, seconds=None):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(_SECONDS)
            port = str(listener.getsockname()[1])
            process = subprocess.Popen([sys.executable, "-I", "-S", "-c", _DIAL, port, command])
            self._processes.append(process)
            self.pids.append(process.pid)
            self.connections.append(way.Connection(listener.accept()[0]))
        return self.connections[-1]

    @staticmethod
    def hint(host):
        return f"ask who started it on {host}"

    def wait(self):
        """Wait for all agents, which end with their channels."""
        for process in self._processes:
            process.wait(_SECONDS)


KINDS = {"local": Local, "ssh": Ssh, "dial-in": DialIn}

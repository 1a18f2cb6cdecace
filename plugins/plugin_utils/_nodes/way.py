# SPDX-License-Identifier: GPL-3.0-or-later
"""
Reach many nodes from one action, over the connections that Ansible already has.

An action that runs once a play does not depend on ``forks``. Commands and channels go through the
control sockets of Ansible's own connections: no further handshake.
"""

from __future__ import annotations

import functools
import os
import re
import shlex
import socket
import subprocess
from typing import Any

from ansible import constants
from ansible.errors import AnsibleActionFail
from ansible.plugins.loader import connection_loader

from ansible_collections.madctl.multinode.plugins.module_utils._request import hostlist
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes import remote_program

AT_ONCE = 16
# Connections are kept and shared, and notice a dead peer within seconds. They come last, and ssh takes the first of
# each: what an inventory or settings say stays.
_KEPT = ("ControlMaster=auto", "ControlPersist=60s", "ServerAliveInterval=3", "ServerAliveCountMax=4")
# An ssh configuration may be made for shells: these carry programs, whatever it says. Which ssh knows them first.
_BARE = (
    ("ClearAllForwardings=yes", (2, 9)),
    ("ExitOnForwardFailure=no", (4, 4)),
    ("RequestTTY=no", (5, 9)),
    ("Tunnel=no", (4, 3)),
    ("RemoteCommand=none", (7, 6)),
    ("SessionType=default", (8, 7)),
    ("StdinNull=no", (8, 7)),
    ("ForkAfterAuthentication=no", (8, 7)),
)
_RELAY = (
    "import os,select,socket,sys\n"
    "s=socket.socket(socket.AF_UNIX);os.chdir(sys.argv[1]);s.connect('control.sock')\n"
    "while True:\n"
    " for f in select.select([0,s],[],[])[0]:\n"
    "  d=os.read(0,65536) if f==0 else s.recv(65536)\n"
    "  if not d: sys.exit()\n"
    "  s.sendall(d) if f==0 else os.write(1,d)\n"
)


class Reach:
    """The way to one node; ``ssh`` is None where it is this machine."""

    def __init__(self, host: str, action: Any, variables: Any) -> None:
        """
        Find the way.

        Args:
            action: The action plugin that asks.
            variables: All variables of the host.
        """
        if not hostlist.is_name(host):
            raise AnsibleActionFail(str(hostlist.hostile(host)))
        self.host = host
        self.python = remote_program.python_of(variables)
        self.ssh = _ssh(host, action, variables)

    def start(self, command: str, *options: str) -> subprocess.Popen[bytes]:
        """Start a command on the node, its standard streams on pipes; ``options`` are for ssh."""
        argv = ["/bin/sh", "-c", command]
        if self.ssh is not None:
            *words, target = self.ssh
            # First come the options of this command: ssh takes the first of each.
            argv = [words[0], *options, *words[1:], "--", target, "/bin/sh -c " + shlex.quote(command)]
        return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def relay(self, run_dir: str) -> socket.socket:
        """Open a channel to a supervisor through a process on the node, where forwarding is not allowed."""
        ours, theirs = socket.socketpair()
        assert self.ssh is not None
        *words, target = self.ssh
        command = "exec %s -I -S -c %s %s" % (self.python, shlex.quote(_RELAY), shlex.quote(run_dir))
        argv = [*words, "--", target, "/bin/sh -c " + shlex.quote(command)]
        subprocess.Popen(argv, stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=subprocess.DEVNULL)
        theirs.close()
        return ours


def _ssh(host: str, action: Any, variables: Any) -> list[str] | None:
    """Write the ssh command line for a host as Ansible does, the host last."""
    # Of an action that runs once a play, the play context is that of the first host, with its user and port.
    task, play_context = action._task, action._play_context
    kind = variables.get("ansible_connection", task.connection)
    if kind in ("local", "ansible.builtin.local"):
        return None
    connection = connection_loader.get("ansible.builtin.ssh", play_context, None)
    # Ansible logged in before, so no password is needed, and nobody would be there to give it to ssh.
    names = [n for n in constants.config.get_plugin_vars("connection", connection._load_name) if "pass" not in n]
    connection.set_options(
        task_keys={"remote_user": task.remote_user, "port": task.port},
        var_options={name: variables[name] for name in names if name in variables},
    )
    adapt(connection, variables)
    # The path of the control socket is a hash of these, which Ansible sets just before it connects.
    connection.host = connection.get_option("host") or host
    words = connection._build_command(connection.get_option("ssh_executable"), "ssh")
    return [*map(os.fsdecode, words), "-T", str(connection.host)]


def forwarding(place: str) -> tuple[str, ...]:
    """Give the options that forward a socket, which none of ours does otherwise."""
    return ("-o", "ClearAllForwardings=no", "-L", place)


def adapt(connection: Any, variables: Any) -> str:
    """
    Add to a connection's arguments what all of ours need; give the last of them, where ours are.

    Args:
        connection: Ansible's own, its options set.
        variables: All variables of the host; ``madctl_ssh_args`` is what the command line of madctl wants.
    """
    version = _version(str(connection.get_option("ssh_executable")))
    options = [*(option for option, since in _BARE if since <= version), *_KEPT]
    if not connection.get_option("password"):
        options.append("BatchMode=yes")  # Nobody is there to be asked.
    ours = [word for option in options for word in ("-o", option)]
    wanted = shlex.join([*ours, *shlex.split(str(variables.get("madctl_ssh_args") or ""))])
    text = " ".join(filter(None, [connection.get_option("ssh_extra_args"), wanted]))
    connection.set_option("ssh_extra_args", text)
    return text


@functools.lru_cache
def _version(executable: str) -> tuple[int, ...]:
    """Ask an ssh for its version; one that does not say OpenSSH is taken for an old one."""
    try:
        done = subprocess.run(
            [executable, "-V"], stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return (7, 6)
    said = re.search(rb"OpenSSH_(\d+)\.(\d+)", done.stderr + done.stdout)
    return (int(said[1]), int(said[2])) if said else (7, 6)


_version("ssh")  # Known before Ansible's workers are forked, one for each node.


def connect(path: str) -> socket.socket:
    """Connect to a Unix socket, however long its path is."""
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        channel.connect("/proc/self/fd/%d/%s" % (directory, os.path.basename(path)))
    except OSError:
        pass  # Reading from it fails, which the follower reports with the node's name.
    finally:
        os.close(directory)
    return channel

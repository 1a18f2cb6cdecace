# SPDX-License-Identifier: GPL-3.0-or-later
"""
The way to a node over SSH, and all that says ssh: its command line, its forwarding, its errors.

Commands and channels go through the control sockets of Ansible's own connections: no further handshake.
"""

from __future__ import annotations

import functools
import os
import re
import shlex
import shutil
import socket
import subprocess
from typing import Any, NamedTuple

from ansible import constants
from ansible.plugins.loader import connection_loader

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, private_places, run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._request import hostlist
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes import unix_sockets, way

# What a handshake comes to, in words of the reference page of checks.
LOOKS_AT = "SSH: name, handshake, host key, login"
ANSIBLE_DEFAULT_SECONDS = 10
# Connections are kept and shared, and notice a dead peer within seconds. They come last, and ssh takes the first of
# each: what an inventory or settings say stays.
_ALIVE_SECONDS, _ALIVE_TIMES = 3, 4
_KEPT = (
    "ControlMaster=auto",
    "ControlPersist=60s",
    "ServerAliveInterval=%d" % _ALIVE_SECONDS,
    "ServerAliveCountMax=%d" % _ALIVE_TIMES,
)
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
    "s=socket.socket(socket.AF_UNIX);os.chdir(sys.argv[1]);s.connect('%s')\n"
    "while True:\n"
    " for f in select.select([0,s],[],[])[0]:\n"
    "  d=os.read(0,65536) if f==0 else s.recv(65536)\n"
    "  if not d: sys.exit()\n"
    "  s.sendall(d) if f==0 else os.write(1,d)\n"
) % run_directory.CONTROL_SOCKET
_FIRST_FRAME_SECONDS = 10


class Ssh(way.Way):
    """One of Ansible's SSH connections."""

    silence_seconds = float(_ALIVE_SECONDS * _ALIVE_TIMES)

    def __init__(self, host: str, variables: Any, connection: Any) -> None:
        """
        Take over a connection of Ansible's, its options set.

        Args:
            connection: Another plugin than Ansible's ssh is left as it is.
        """
        super().__init__(host, variables)
        self._connection, self._variables = connection, variables
        self._is_ssh = connection.transport == "ssh"
        self._is_patient = self._is_ssh and connection.get_option("timeout") != ANSIBLE_DEFAULT_SECONDS
        self._place: str | None = None
        if self._is_ssh:
            self.arguments = {"ssh_extra_args": _adapt(connection, variables)}

    @classmethod
    def reaching(cls, host: str, action: Any, variables: Any) -> Ssh:
        """Make the way that an action's task has to a host."""
        found = cls(host, variables, _make_connection(action, variables))
        found._words  # noqa: B018  plugins of Ansible are for one thread, and commands are started by many.
        return found

    @functools.cached_property
    def _words(self) -> list[str]:
        """The command line as Ansible writes it, the host last."""
        # The path of the control socket is a hash of this, which Ansible sets just before it connects.
        self._connection.host = self._connection.get_option("host") or self.host
        words = self._connection._build_command(self._connection.get_option("ssh_executable"), "ssh")
        return [*map(os.fsdecode, words), "-T", str(self._connection.host)]

    def start(self, command: str, run_dir: str | None = None) -> subprocess.Popen[bytes]:
        """Start a command on the node; where it makes a supervisor, its socket is forwarded at no cost."""
        return way.popen(self._command(command, *(self._forwarding(run_dir) if run_dir else ())))

    def _command(self, command: str, *options: str) -> list[str]:
        *words, target = self._words
        # First come the options of this command: ssh takes the first of each.
        return [words[0], *options, *words[1:], "--", target, way.shell(command)]

    def _forwarding(self, run_dir: str) -> tuple[str, ...]:
        """Give the options that forward a socket, which none of ours does otherwise."""
        if self._place is None:
            self._place = private_places.private()
        sockets = "%s/%s:%s/%s" % (self._place, run_directory.CONTROL_SOCKET, run_dir, run_directory.CONTROL_SOCKET)
        return ("-o", "ClearAllForwardings=no", "-L", sockets)

    def channel(self, run_dir: str) -> socket.socket:
        """Open a channel to the supervisor of a run: the socket that was forwarded, else a process on the node."""
        if self._place is None:
            return self._relay(run_dir)
        channel = unix_sockets.connect("%s/%s" % (self._place, run_directory.CONTROL_SOCKET))
        # A server that forbids forwarding closes at once; one that allows it says ready first.
        channel.settimeout(_FIRST_FRAME_SECONDS)
        try:
            alive = channel.recv(1, socket.MSG_PEEK)
        except OSError:
            alive = b""
        if alive:
            # The forwarding is left to the connection, which ends by itself; to cancel it costs one more ssh.
            return channel
        channel.close()
        return self._relay(run_dir)

    def _relay(self, run_dir: str) -> socket.socket:
        ours, theirs = socket.socketpair()
        command = "exec %s -I -S -c %s %s" % (self.python, shlex.quote(_RELAY), shlex.quote(run_dir))
        subprocess.Popen(
            self._command(command), stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=subprocess.DEVNULL
        )
        theirs.close()
        return ours

    def close(self) -> None:
        """Remove the directory of the socket that was forwarded; who is connected to it stays so."""
        if self._place is not None:
            shutil.rmtree(self._place, ignore_errors=True)
            self._place = None

    @staticmethod
    def hint(host: str) -> str:
        """Say how to look at a host by hand."""
        return "ssh %s" % host

    def limit(self, seconds: float) -> None:
        """Have Ansible's connection wait so long for the node, where its user chose no time."""
        if self._is_ssh and not self._is_patient:
            self._connection.set_option("timeout", seconds)

    def explain(self, text: str) -> codes.Problem:
        """Turn what ssh or Ansible said where the node could not be reached into a problem."""
        cause = next((cause for cause in _CAUSES if cause.pattern.search(text)), None)
        if cause is None:
            return super().explain(text.replace("Failed to connect to the host via ssh: ", ""))
        if cause.message == _NO_KEY and self._connection.get_option("password"):
            cause = _NO_PASSWORD
        guess = hostlist.meant(self.host) if cause.code == "HOST_UNRESOLVED" else None
        address = self._variables.get("ansible_host", self.host)
        remedy = "did you mean %s?" % guess if guess else cause.remedy % address
        return codes.problem(cause.code, self.host, cause.message, remedy)

    def may_pass(self, text: str) -> bool:
        """Return whether a handshake failed as it does on a busy machine."""
        return bool(_TRANSIENT.search(text))

    def is_mine(self, text: str) -> bool:
        """Return whether an error is one of a password, which Ansible tells before it connects."""
        return self._is_ssh and "sshpass" in text

    def _look(self) -> str:
        return hostlist.slots_meant(self.host, self._variables.get("ansible_port")) or super()._look()


def _make_connection(action: Any, variables: Any) -> Any:
    """Make a connection of Ansible's as a task has it to a host with these variables."""
    # Of an action that runs once a play, the play context is that of the first host, with its user and port.
    task, play_context = action._task, action._play_context
    connection = connection_loader.get("ansible.builtin.ssh", play_context, None)
    # Ansible logged in before, so no password is needed, and nobody would be there to give it to ssh.
    names = constants.config.get_plugin_vars("connection", connection._load_name)
    connection.set_options(
        task_keys={"remote_user": task.remote_user, "port": task.port},
        var_options={name: variables[name] for name in names if name in variables and "pass" not in name},
    )
    return connection


def _adapt(connection: Any, variables: Any) -> str:
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


# -- what ssh says ---------------------------------------------------------------------------------

_TRANSIENT = re.compile(
    r"timed out|Connection (closed|reset) by|kex_exchange_identification|banner exchange|Broken pipe|mux_client",
    re.IGNORECASE,
)


class _Cause(NamedTuple):
    """What a text of ssh means; the remedy has a place for the node's address."""

    code: str
    pattern: re.Pattern[str]
    message: str
    remedy: str


_NO_KEY = "it accepts none of your keys"
_DENIED = re.compile(r"Permission denied")
_NO_PASSWORD = _Cause(
    "AUTHENTICATION_FAILED",
    _DENIED,
    "it does not accept the password that the inventory has for it",
    "try it: ssh %s",
)
_CAUSES = (
    _Cause(
        "HOST_KEY_CHANGED",
        re.compile(r"REMOTE HOST IDENTIFICATION HAS CHANGED"),
        "its host key has changed",
        "if that is right, remove the old key: ssh-keygen -R %s",
    ),
    _Cause(
        "HOST_KEY_UNKNOWN",
        re.compile(r"Host key verification failed|No .* host key is known"),
        "its host key is unknown",
        "enrol it: ssh %s, or pass --accept-new-host-keys",
    ),
    _Cause(
        "AUTHENTICATION_FAILED",
        re.compile(r"install the sshpass program"),
        "the inventory has a password for it, which only the program sshpass can give to ssh",
        "install sshpass here, or enrol a key: ssh-copy-id %s",
    ),
    _Cause("AUTHENTICATION_FAILED", _DENIED, _NO_KEY, "check --user and your key: ssh %s"),
    _Cause(
        "HOST_UNRESOLVED",
        re.compile(r"Could not resolve hostname|Name or service not known"),
        "its name does not resolve",
        "check the spelling: ssh %s",
    ),
)


def remedies(host: str) -> dict[str, str]:
    """Give the usual remedy of every code that this way alone finds."""
    usual = {cause.code: cause.remedy % host for cause in _CAUSES}
    return {**usual, "HOST_UNREACHABLE": "check that it is up: %s" % Ssh.hint(host)}

# SPDX-License-Identifier: Apache-2.0
"""
The way to a node over SSH, and everything about ssh: its command line, its errors. Private to the collection.

The command line comes from a caller that knows it, such as Ansible; this file only uses it.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from dataclasses import dataclass
from typing import Dict, List, Match, NamedTuple, Optional, Pattern

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, plain_text
from ansible_collections.madctl.multinode.plugins.module_utils._request import hostlist
from ansible_collections.madctl.multinode.plugins.module_utils._ways import way

# What a handshake checks, in the words of the reference page.
LOOKS_AT = "SSH: name, handshake, host key, login"
# Connections notice a dead peer within seconds.
ALIVE_SECONDS, ALIVE_TIMES = 3, 4
_FAILED = 255  # the exit code of ssh itself
_RESET_SECONDS, _NOTHING = 3.0, subprocess.DEVNULL
# The exit codes of sshpass: the password was refused; the host key was not accepted.
_PASSWORD_REFUSED, _KEY_UNKNOWN = 5, 6


@dataclass(frozen=True)
class Login:
    """
    How ssh reaches a node.

    ``words`` is its command line without the target, ``chosen_patience`` whether its user chose how long to wait.
    ``password``, with the beginning of the prompt that asks for it, is never stored; see ``has_secret``.
    ``refusal`` is why a login with these settings cannot even be tried.
    """

    words: List[str]
    target: str
    address: str
    port: Optional[int] = None
    chosen_patience: bool = False
    password: Optional[str] = None
    prompt: Optional[str] = None
    refusal: Optional[str] = None

    @property
    def has_secret(self) -> bool:
        """Whether it, or a command that jumps to the node, has a password."""
        return self.password is not None or any("sshpass" in word for word in self.words)


class Ssh(way.Way):
    """A node that is reached over ssh."""

    silence_seconds = float(ALIVE_SECONDS * ALIVE_TIMES)

    def __init__(self, host: str, python: str, login: Login, environment: str = "") -> None:
        super().__init__(host, python, environment)
        self.login = login

    def start(self, command: str, seconds: Optional[float] = None) -> way.Connection:
        """Start a command on the node, over a kept connection if there is one."""
        if self.login.refusal is not None:
            raise OSError(self.login.refusal)
        options = [] if seconds is None or self.login.chosen_patience else ["-o", "ConnectTimeout=%d" % seconds]
        words = [self.login.words[0], *options, *self.login.words[1:]]
        words += ["-T", "--", self.login.target, way.shell(command)]
        if self.login.password is None:
            return way.Child(words)
        reader, writer = os.pipe()
        try:
            prompt = ["-P", self.login.prompt] if self.login.prompt else []
            child = way.Child(["sshpass", "-d%d" % reader, *prompt, *words], (reader,))
            os.write(writer, self.login.password.encode("utf-8", "surrogateescape") + b"\n")
        finally:
            os.close(reader)
            os.close(writer)
        return child

    def reset(self) -> None:
        """End the kept connection."""
        if self.login.refusal is not None:
            return
        words = [self.login.words[0], "-O", "exit", *self.login.words[1:], "--", self.login.target]
        # If that fails, the next attempt also fails, with the reason.
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.call(words, stdin=_NOTHING, stdout=_NOTHING, stderr=_NOTHING, timeout=_RESET_SECONDS)

    @staticmethod
    def hint(host: str) -> str:
        """Return how to check a host by hand."""
        return "ssh %s" % host

    def is_of_node(self, code: Optional[int]) -> bool:
        """Return whether an exit code is from a program on the node, not from the way to it."""
        own = (_FAILED, _PASSWORD_REFUSED, _KEY_UNKNOWN) if self.login.password is not None else (_FAILED,)
        return code is not None and code >= 0 and code not in own

    def explain(self, text: str, code: Optional[int] = None) -> codes.Problem:
        """Turn the output of ssh or Ansible about an unreachable node into a problem."""
        cause = next((cause for cause in _CAUSES if cause.pattern.search(text)), None)
        if self.login.password is not None and code in (_PASSWORD_REFUSED, _KEY_UNKNOWN):
            cause = _NO_PASSWORD if code == _PASSWORD_REFUSED else _UNKNOWN_KEY
        if cause is None:
            return super().explain(
                _REFUSED.sub(self._said, text.replace("Failed to connect to the host via ssh: ", ""))
            )
        if cause.message == _NO_KEY and self.login.password is not None:
            cause = _NO_PASSWORD
        guess = hostlist.meant(self.host) if cause.code == "HOST_UNRESOLVED" else None
        remedy = "did you mean %s?" % guess if guess else cause.remedy % self.login.address
        return codes.problem(cause.code, self.host, cause.message, remedy)

    def _said(self, found: Match[str]) -> str:
        address, port, why = found.groups()
        where = "port %s" % port if address == self.host else "%s port %s" % (address, port)
        return "%s: %s" % (where, plain_text.clause(why))

    def may_pass(self, text: str) -> bool:
        """Return whether a handshake failed in the way it does on a busy machine."""
        return bool(_TRANSIENT.search(text))

    def look(self) -> str:
        """Return the remedy for a node that does not answer."""
        return hostlist.slots_meant(self.host, self.login.port) or super().look()


# -- what ssh prints -------------------------------------------------------------------------------

_TRANSIENT = re.compile(
    r"timed out|Connection (closed|reset) by|kex_exchange_identification|banner exchange|Broken pipe|mux_client",
    re.IGNORECASE,
)


_REFUSED = re.compile(r"ssh: connect to host (\S+) port (\d+): ([^\r\n]+)")


class _Cause(NamedTuple):
    """The meaning of an ssh message; the remedy has a placeholder for the node's address."""

    code: str
    pattern: Pattern[str]
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
_UNKNOWN_KEY = _Cause(
    "HOST_KEY_UNKNOWN",
    re.compile(r"Host key verification failed|No .* host key is known"),
    "its host key is unknown",
    "enrol it: ssh %s, or pass --accept-new-host-keys",
)
_CAUSES = (
    _Cause(
        "HOST_KEY_CHANGED",
        re.compile(r"REMOTE HOST IDENTIFICATION HAS CHANGED"),
        "its host key has changed",
        "if that is right, remove the old key: ssh-keygen -R %s",
    ),
    _UNKNOWN_KEY,
    _Cause(
        "AUTHENTICATION_FAILED",
        re.compile(r"install the sshpass program|sshpass: no such file or directory"),
        "the inventory has a password for it, which only sshpass can pass to ssh",
        "install sshpass on this machine, or set up a key: ssh-copy-id %s",
    ),
    _Cause("AUTHENTICATION_FAILED", _DENIED, _NO_KEY, "check --user and your key: ssh %s"),
    _Cause(
        "HOST_UNRESOLVED",
        re.compile(r"Could not resolve hostname|Name or service not known"),
        "its name does not resolve",
        "check the spelling: ssh %s",
    ),
)


def remedies(host: str) -> Dict[str, str]:
    """Return the usual remedy for every code that only this way finds."""
    usual = {cause.code: cause.remedy % host for cause in _CAUSES}
    return {**usual, "HOST_UNREACHABLE": "check that it is up: %s" % Ssh.hint(host)}

# SPDX-License-Identifier: GPL-3.0-or-later
"""
Ask Ansible how it logs in with ssh: all its options, keys, jumps and kept connections are honoured.

The command line is the one that Ansible's own ssh connection writes, with the options that all of ours need.
"""

from __future__ import annotations

import functools
import os
import re
import shlex
import subprocess
from collections.abc import Iterable
from typing import Any

from ansible import constants, context
from ansible.errors import AnsibleError
from ansible.plugins.loader import connection_loader

from ansible_collections.madctl.multinode.plugins.module_utils._ways import ssh

ANSIBLE_DEFAULT_SECONDS = 10
_PASSWORDS = ("ansible_password", "ansible_ssh_pass", "ansible_ssh_password")
# Connections are kept and shared, and notice a dead peer within seconds. They come last, and ssh uses the first of
# each: options of an inventory or of settings win.
_KEPT = (
    "ControlMaster=auto",
    "ControlPersist=60s",
    "ServerAliveInterval=%d" % ssh.ALIVE_SECONDS,
    "ServerAliveCountMax=%d" % ssh.ALIVE_TIMES,
)
# An ssh configuration may be made for shells: with these options, connections carry programs, whatever it says. Each
# has the first version of ssh that knows it.
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


def typed_password(action: Any, hostvars: Any, hosts: Iterable[str]) -> str | None:
    """
    Return the password for all hosts that the user gave with ``-k`` or a file; None if there is none.

    In an action that runs once per play, the play context may contain the password of one host instead.
    """
    if not any(context.CLIARGS.get(name) for name in ("ask_pass", "connection_password_file")):
        return None
    given = str(action._play_context.password or "")
    own = {str(hostvars[host].get(name)) for host in hosts for name in _PASSWORDS if hostvars[host].get(name)}
    return None if not given or given in own else given


def login(host: str, action: Any, variables: Any, typed: str | None = None) -> ssh.Login:
    """
    Return how an Ansible task would log in to a host with these variables.

    Args:
        typed: The password for hosts that have none of their own, see ``typed_password``.
    """
    connection = _connection(action, variables)
    if typed and not connection.get_option("password"):
        connection.set_option("password", typed)
    patient = connection.get_option("timeout") != ANSIBLE_DEFAULT_SECONDS
    adapt(connection, variables)
    password = connection.get_option("password") or None  # Ansible ignores an empty one.
    default = _PIN_PROMPT if connection.get_option("pkcs11_provider") else None
    prompt = (connection.get_option("sshpass_prompt") or default) if password else None
    # The path of the control socket is a hash of this, which Ansible sets just before it connects.
    connection.host = connection.get_option("host") or host
    executable = str(connection.get_option("ssh_executable"))
    words, refusal = [executable], None
    try:
        words = [os.fsdecode(word) for word in connection._build_command(executable, "ssh")]
    except AnsibleError as error:
        refusal = str(error)
    if words[0] == "sshpass":
        for descriptor in connection.sshpass_pipe:
            os.close(descriptor)
        words = words[words.index(executable) :]
    return ssh.Login(
        words=words,
        target=str(connection.host),
        address=str(variables.get("ansible_host", host)),
        port=_port(variables.get("ansible_port")),
        chosen_patience=patient,
        password=None if password is None else str(password),
        prompt=None if prompt is None else str(prompt),
        refusal=refusal,
    )


# The prompt of ssh for keys on a smart card, which Ansible makes sshpass wait for.
_PIN_PROMPT = "Enter PIN for "


def _port(given: Any) -> int | None:
    try:
        return int(given)
    except (TypeError, ValueError):
        return None


def _connection(action: Any, variables: Any) -> Any:
    """Create an Ansible connection as a task has it to a host with these variables."""
    # In an action that runs once per play, the play context is that of the first host, with its user and port.
    task, play_context = action._task, action._play_context
    connection = connection_loader.get("ansible.builtin.ssh", play_context, None)
    names = constants.config.get_plugin_vars("connection", connection._load_name)
    connection.set_options(
        task_keys={"remote_user": task.remote_user, "port": task.port},
        var_options={name: variables[name] for name in names if name in variables},
    )
    return connection


def adapt(connection: Any, variables: Any) -> str:
    """
    Add the options that all of ours need to a connection's arguments; return the last arguments, which contain ours.

    Args:
        connection: Ansible's own, its options set.
        variables: All variables of the host; ``madctl_ssh_args`` are the options that madctl's command line sets.
    """
    version = _version(str(connection.get_option("ssh_executable")))
    options = [*(option for option, since in _BARE if since <= version), *_KEPT]
    if not connection.get_option("password"):
        options.append("BatchMode=yes")  # There is no user to be asked.
    ours = [word for option in options for word in ("-o", option)]
    wanted = shlex.join([*ours, *shlex.split(str(variables.get("madctl_ssh_args") or ""))])
    text = " ".join(filter(None, [connection.get_option("ssh_extra_args"), wanted]))
    connection.set_option("ssh_extra_args", text)
    return text


@functools.lru_cache
def _version(executable: str) -> tuple[int, ...]:
    """Return the version of an ssh; one that is not OpenSSH counts as old."""
    try:
        done = subprocess.run(
            [executable, "-V"], stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return (7, 6)
    said = re.search(rb"OpenSSH_(\d+)\.(\d+)", done.stderr + done.stdout)
    return (int(said[1]), int(said[2])) if said else (7, 6)

# SPDX-License-Identifier: GPL-3.0-or-later
"""
Connect with care, then run the module of the same name.

A handshake that times out on a busy machine is no proof of a dead node: it is tried once more with
few beside it before the node is called unreachable. The reason is classified into a stable code.
"""

from __future__ import annotations

import fcntl
import os
import random
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ansible import constants
from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.madctl.multinode.plugins.module_utils._common import node_answers, raw_words
from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import line, problem
from ansible_collections.madctl.multinode.plugins.module_utils._probe import node_facts
from ansible_collections.madctl.multinode.plugins.module_utils._request import hostlist, validation
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes import remote_program, way
from ansible_collections.madctl.multinode.plugins.plugin_utils._run import play_rules

_MODULES = remote_program.parts("_probe.node_facts")

# Two attempts and Ansible's own start stay below 15 seconds.
FIRST_SECONDS, SECOND_SECONDS = 4, 8
ANSIBLE_DEFAULT_SECONDS = 10
RETRY_SLOTS = 8
_TRANSIENT = re.compile(
    r"timed out|Connection (closed|reset) by|kex_exchange_identification|banner exchange|Broken pipe|mux_client",
    re.IGNORECASE,
)
_NO_KEY = "it accepts none of your keys"
_NO_PASSWORD = ("it does not accept the password that the inventory has for it", "try it: ssh %s")
_CAUSES = (
    (
        "HOST_KEY_CHANGED",
        re.compile(r"REMOTE HOST IDENTIFICATION HAS CHANGED"),
        "its host key has changed",
        "if that is right, remove the old key: ssh-keygen -R %s",
    ),
    (
        "HOST_KEY_UNKNOWN",
        re.compile(r"Host key verification failed|No .* host key is known"),
        "its host key is unknown",
        "enrol it: ssh %s, or pass --accept-new-host-keys",
    ),
    (
        "AUTHENTICATION_FAILED",
        re.compile(r"install the sshpass program"),
        "the inventory has a password for it, which only the program sshpass can give to ssh",
        "install sshpass here, or enrol a key: ssh-copy-id %s",
    ),
    (
        "AUTHENTICATION_FAILED",
        re.compile(r"Permission denied"),
        _NO_KEY,
        "check --user and your key: ssh %s",
    ),
    (
        "HOST_UNRESOLVED",
        re.compile(r"Could not resolve hostname|Name or service not known"),
        "its name does not resolve",
        "check the spelling: ssh %s",
    ),
)


class ActionModule(ActionBase):
    """Run ``node_info`` on one node."""

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Return the module's result, or an unreachable one with ``problem``."""
        super().run(tmp, task_vars)
        play_rules.warn(self._task, task_vars)
        host = task_vars["inventory_hostname"]
        if not hostlist.is_name(host):
            found = hostlist.hostile(host).problem
            return {"failed": True, "msg": line(found), "problem": found}
        self._times: dict[str, float] = {}
        self._adapt()
        if not self._is_ssh():
            return self._look(task_vars)
        arguments = way.adapt(self._connection, task_vars)
        try:
            # Other modules of a role need the same.
            return dict(self._look(task_vars), ssh_extra_args=arguments)
        except AnsibleError as error:
            if "sshpass" not in str(error):
                raise
            return self._unreachable(str(error), task_vars)

    def _look(self, task_vars: Any) -> dict[str, Any]:
        patient = self._is_ssh() and self._connection.get_option("timeout") != ANSIBLE_DEFAULT_SECONDS
        if self._is_ssh() and not patient:
            self._connection.set_option("timeout", FIRST_SECONDS)
        begun = time.monotonic()
        try:
            return self._explain(self._probe(task_vars), task_vars)
        except AnsibleConnectionFailure as error:
            if not _TRANSIENT.search(str(error)):
                return self._unreachable(str(error), task_vars)
        # What took this long was an old connection that died: the next is a first handshake again.
        was_open = time.monotonic() - begun > 2 * FIRST_SECONDS
        with retry_slot():
            if not patient:
                self._connection.set_option("timeout", FIRST_SECONDS if was_open else SECOND_SECONDS)
            self._connection.reset()
            try:
                return self._explain(self._probe(task_vars), task_vars)
            except AnsibleConnectionFailure as error:
                return self._unreachable(str(error), task_vars)

    def _adapt(self) -> None:
        """Take arguments as people write them, and look as who logs in, whatever the inventory says of becoming."""
        arguments = self._task.args
        arguments["work"] = raw_words.split(arguments.get("work"))
        arguments["shared_paths"] = validation.mirrored(arguments.get("shared_paths"), arguments.pop("mirror", None))
        decisive = {name: value for name, value in (arguments.get("env") or {}).items() if name in node_facts.DECISIVE}
        arguments["env"] = {name: raw_words.unpack(value) for name, value in decisive.items()}
        self._connection.set_become_plugin(None)
        self._play_context.become = False

    def _is_ssh(self) -> bool:
        return bool(self._connection.transport == "ssh")

    def _probe(self, task_vars: Any) -> dict[str, Any]:
        if not self._connection.has_pipelining:
            result: dict[str, Any] = self._execute_module(
                module_name="madctl.multinode.node_info", module_args=self._task.args, task_vars=task_vars
            )
            return result
        _, arguments = self.validate_argument_spec(argument_spec=node_facts.ARGUMENTS)
        program = remote_program.Program("node_info", _MODULES, arguments)
        command = program.command(remote_program.python_of(task_vars))
        environment = self._compute_environment_string()
        sent = time.time()
        done = self._low_level_execute_command(" ".join(filter(None, [environment, command])), in_data=program.text)
        received = time.time()
        result = program.answer(done["rc"], done["stdout"], done["stderr"])
        self._times = {"sent": sent, "received": received}
        return result

    def _explain(self, result: dict[str, Any], task_vars: Any) -> dict[str, Any]:
        """Take facts that are what the probe gives, and nothing else that a node says; or say why there are none."""
        host = task_vars["inventory_hostname"]
        if "node" in result:
            node = result["node"]
            odd = node_answers.odd_fact(node, self._task.args["shared_paths"])
            if odd is None:
                return {"changed": False, "node": node_answers.dated(node, self._times)}
            return self._problem(problem("PROBE_MALFORMED", host, "the probe does not give such facts: %s" % odd))
        interpreter = remote_program.python_of(task_vars)
        text = " ".join(str(result.get(key, "")) for key in ("msg", "module_stdout", "module_stderr")).strip()
        if result.get("rc") in (126, 127) or "interpreter" in text:
            message, remedy = "no Python at %s" % interpreter, "install python3 there"
            found = problem("PYTHON_MISSING", host, message, remedy)
        else:
            found = problem("PROBE_FAILED", host, "the node could not be looked at: %s" % " ".join(text.split())[-300:])
        return self._problem(found)

    @staticmethod
    def _problem(found: dict[str, Any]) -> dict[str, Any]:
        return {"failed": True, "msg": line(found), "problem": found}

    def _unreachable(self, text: str, task_vars: Any) -> dict[str, Any]:
        host = task_vars["inventory_hostname"]
        for code, pattern, message, remedy in _CAUSES:
            if pattern.search(text):
                if message == _NO_KEY and self._connection.get_option("password"):
                    message, remedy = _NO_PASSWORD
                guess = hostlist.meant(host) if code == "HOST_UNRESOLVED" else None
                remedy = "did you mean %s?" % guess if guess else remedy % task_vars.get("ansible_host", host)
                found = problem(code, host, message, remedy)
                break
        else:
            reason = [part.strip() for part in text.replace("\r", "\n").split("\n") if part.strip()]
            cause = (reason[-1] if reason else "no answer").removeprefix("Failed to connect to the host via ssh: ")
            found = problem("HOST_UNREACHABLE", host, cause, hostlist.unreachable(host, task_vars.get("ansible_port")))
        return {"unreachable": True, "msg": line(found), "problem": found}


@contextmanager
def retry_slot() -> Iterator[None]:
    """Hold one of few places; the workers of a run share the directory that the places are in."""
    number = random.randrange(RETRY_SLOTS)
    path = os.path.join(constants.DEFAULT_LOCAL_TMP, "madctl-retry-%d" % number)
    with open(path, "w", encoding="utf-8") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield

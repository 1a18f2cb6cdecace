# SPDX-License-Identifier: GPL-3.0-or-later
"""
Connect with care, then run the module of the same name.

A handshake that times out on a busy machine is no proof of a dead node: it is tried once more with
few beside it before the node is called unreachable. The way to the node knows the reason.
"""

from __future__ import annotations

import fcntl
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ansible import constants
from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.madctl.multinode.plugins.module_utils._common import node_answers, raw_words
from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem, line, problem
from ansible_collections.madctl.multinode.plugins.module_utils._probe import node_facts
from ansible_collections.madctl.multinode.plugins.module_utils._request import hostlist, validation
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes import choose_way, remote_program
from ansible_collections.madctl.multinode.plugins.plugin_utils._run import play_rules

_MODULES = remote_program.parts("_probe.node_facts")

# Two attempts and Ansible's own start stay below 15 seconds.
FIRST_SECONDS, SECOND_SECONDS = 4, 8
RETRY_SLOTS = 8


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
        self._way = choose_way.along(self._connection, host, task_vars)
        try:
            # Other modules of a role need the same.
            return dict(self._look(task_vars), **self._way.arguments)
        except AnsibleError as error:
            if not self._way.is_mine(str(error)):
                raise
            return self._unreachable(str(error))

    def _look(self, task_vars: Any) -> dict[str, Any]:
        self._way.limit(FIRST_SECONDS)
        begun = time.monotonic()
        try:
            return self._explain(self._probe(task_vars), task_vars)
        except AnsibleConnectionFailure as error:
            if not self._way.may_pass(str(error)):
                return self._unreachable(str(error))
        # What took this long was an old connection that died: the next is a first handshake again.
        was_open = time.monotonic() - begun > 2 * FIRST_SECONDS
        with retry_slot():
            self._way.limit(FIRST_SECONDS if was_open else SECOND_SECONDS)
            self._connection.reset()
            try:
                return self._explain(self._probe(task_vars), task_vars)
            except AnsibleConnectionFailure as error:
                return self._unreachable(str(error))

    def _adapt(self) -> None:
        """Take arguments as people write them, and look as who logs in, whatever the inventory says of becoming."""
        arguments = self._task.args
        arguments["work"] = raw_words.split(arguments.get("work"))
        arguments["shared_paths"] = validation.mirrored(arguments.get("shared_paths"), arguments.pop("mirror", None))
        decisive = {name: value for name, value in (arguments.get("env") or {}).items() if name in node_facts.DECISIVE}
        arguments["env"] = {name: raw_words.unpack(value) for name, value in decisive.items()}
        self._connection.set_become_plugin(None)
        self._play_context.become = False

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
            message = "the probe does not give such facts: %s" % odd
            return self._problem(problem("PROBE_MALFORMED", host, message, hint=self._way.hint("HOST")))
        interpreter = remote_program.python_of(task_vars)
        text = " ".join(str(result.get(key, "")) for key in ("msg", "module_stdout", "module_stderr")).strip()
        if result.get("rc") in (126, 127) or "interpreter" in text:
            message, remedy = "no Python at %s" % interpreter, "install python3 there"
            found = problem("PYTHON_MISSING", host, message, remedy)
        else:
            message = "the node could not be looked at: %s" % " ".join(text.split())[-300:]
            found = problem("PROBE_FAILED", host, message, hint=self._way.hint("HOST"))
        return self._problem(found)

    @staticmethod
    def _problem(found: Problem) -> dict[str, Any]:
        return {"failed": True, "msg": line(found), "problem": found}

    def _unreachable(self, text: str) -> dict[str, Any]:
        found = self._way.explain(text)
        return {"unreachable": True, "msg": line(found), "problem": found}


@contextmanager
def retry_slot() -> Iterator[None]:
    """Hold one of few places; the workers of a run share the directory that the places are in."""
    number = random.randrange(RETRY_SLOTS)
    path = os.path.join(constants.DEFAULT_LOCAL_TMP, "madctl-retry-%d" % number)
    with open(path, "w", encoding="utf-8") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield

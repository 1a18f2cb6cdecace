# SPDX-License-Identifier: GPL-3.0-or-later
"""
Connect, then inspect one node.

The way to the node knows what its errors mean. A connection that carries no stream of bytes runs the module of the
same name instead.
"""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem, line, problem
from ansible_collections.madctl.multinode.plugins.module_utils._common.event_loop import Loop
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import look
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents
from ansible_collections.madctl.multinode.plugins.module_utils._probe import node_facts
from ansible_collections.madctl.multinode.plugins.module_utils._request import (
    hostlist,
    kinds,
    launch_request,
    validation,
)
from ansible_collections.madctl.multinode.plugins.module_utils._ways import way
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes import choose_way
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes.variables import python_of
from ansible_collections.madctl.multinode.plugins.plugin_utils._run import play_rules

# Problems of a node that was reached.
_REACHED = ("PYTHON_MISSING", "PROBE_FAILED", "PROBE_MALFORMED")


class ActionModule(ActionBase):
    """Run ``node_info`` on one node."""

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Return the module's result, or an unreachable one with ``problem``."""
        super().run(tmp, task_vars)
        play_rules.warn(self._task, task_vars)
        host = task_vars["inventory_hostname"]
        if not hostlist.is_name(host):
            return _failed(hostlist.hostile(host).problem)
        self._adapt()
        if not choose_way.carries_bytes(self._connection):
            return self._by_module(host, task_vars)
        # Other modules of a role need the same.
        more = choose_way.arguments(self._connection, task_vars)
        _, request = self.validate_argument_spec(argument_spec=node_facts.ARGUMENTS)
        ways = choose_way.to([host], self, {host: task_vars})
        with closing(Loop()) as loop, Agents(loop, ways) as agents:
            seen = look.at_all(agents, [host], request, lambda *_: None)[host]
        if seen.facts is not None:
            return {"changed": False, "node": seen.facts, **more}
        assert seen.problem is not None
        return {**_failed(seen.problem), **more}

    def _adapt(self) -> None:
        """
        Parse arguments in the form in which people write them, and probe as the login user, even if the inventory sets
        become.
        """
        arguments = self._task.args
        arguments["work"] = kinds.shell_words(arguments.get("work") or [])
        paths = list(map(str, kinds.commas(arguments.get("shared_paths") or [])))
        arguments["shared_paths"] = validation.mirrored(paths, arguments.pop("mirror", None))
        arguments["env"] = launch_request.decisive(arguments.get("env") or {})
        self._connection.set_become_plugin(None)
        self._play_context.become = False

    def _by_module(self, host: str, task_vars: Any) -> dict[str, Any]:
        """Probe with a module, which works over any Ansible connection."""
        sent = time.time()
        try:
            result: dict[str, Any] = self._execute_module(
                module_name="madctl.multinode.node_info", module_args=self._task.args, task_vars=task_vars
            )
        except AnsibleConnectionFailure as error:
            return _failed(problem("HOST_UNREACHABLE", host, str(error), "check its connection"))
        if "node" in result:
            seen = look.judge(_ByTask(host, ""), result, self._task.args["shared_paths"], sent)
            return {"changed": False, "node": seen.facts} if seen.facts is not None else _failed(seen.problem)
        text = " ".join(str(result.get(key, "")) for key in ("msg", "module_stdout", "module_stderr")).strip()
        if result.get("rc") in (126, 127) or "interpreter" in text:
            return _failed(problem("PYTHON_MISSING", host, "no Python at %s" % python_of(task_vars), "install python3"))
        message = "the node could not be inspected: %s" % " ".join(text.split())[-300:]
        return _failed(problem("PROBE_FAILED", host, message, "inspect it through its connection"))


class _ByTask(way.Way):
    """A way that only Ansible's own tasks can use."""

    def start(self, command: str, seconds: float | None = None) -> way.Connection:
        """Refuse: it carries no stream of bytes."""
        del command, seconds
        raise OSError("its connection carries no stream of bytes")

    @staticmethod
    def hint(host: str) -> str:
        """Return the command that inspects a host by hand."""
        return "ansible %s -m ansible.builtin.ping" % host


def _failed(found: Problem | None) -> dict[str, Any]:
    assert found is not None
    kind = "failed" if found["code"] in _REACHED or found["code"] == "HOST_INVALID" else "unreachable"
    return {kind: True, "msg": line(found), "problem": found}

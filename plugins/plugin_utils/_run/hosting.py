# SPDX-License-Identifier: GPL-3.0-or-later
"""Host the conductor, or a question to nodes, in an action that runs once a play."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common.event_loop import Loop
from ansible_collections.madctl.multinode.plugins.module_utils._common.exit_codes import ExitCode
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import event_queue, find_run, questions, timing
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.conductor import Conductor
from ansible_collections.madctl.multinode.plugins.module_utils._ways import kept
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes import choose_way
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes.variables import plain
from ansible_collections.madctl.multinode.plugins.plugin_utils._run import play_rules, signals
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import playbook_screen


@contextmanager
def agents_of(
    action: Any, task_vars: Any, hosts: Sequence[str] | None = None, variables: dict[str, Any] | None = None
) -> Iterator[Agents]:
    """
    Give the agents of some hosts of the play, or of all.

    Args:
        variables: Those of hosts that were read already: Ansible works them out anew whenever they are asked for.
    """
    named = task_vars["ansible_play_hosts_all"] if hosts is None else hosts
    clock = timing.Clock("reach, probe", timing.is_wanted())
    ways = choose_way.to(named, action, ChainMap(variables or {}, task_vars["hostvars"]))
    with closing(Loop()) as loop, Agents(loop, ways, clock) as agents:
        yield agents


def asked(action: Any, task_vars: Any, question: questions.Question, **more: Any) -> tuple[dict[str, Any], Any]:
    """
    Ask all hosts of the play, and give what came of it and the task's arguments.

    Args:
        more: Arguments that the task itself does not have.
    """
    play_rules.require(action._task, task_vars)
    arguments = {**plain(action._task.args), **more}
    with agents_of(action, task_vars) as agents:
        try:
            found = {**question(agents, arguments), **ways_of(agents, task_vars)}
            return found, arguments
        except find_run.Unknown as unknown:
            nothing = {"changed": False, "exit_code": int(ExitCode.USAGE)}
            return {**nothing, "nodes": unknown.nodes, "problems": unknown.problems}, arguments


def ways_of(agents: Agents, task_vars: Any) -> dict[str, Any]:
    """Give how all hosts are reached, as data, where whoever runs the play keeps it; secrets are in none of it."""
    if not task_vars.get("madctl_keep_ways"):
        return {}
    return {"ways": {host: kept.dumped(way) for host, way in agents.ways.items()}}


@contextmanager
def conducted(
    agents: Agents, event_socket: str | None, screen: playbook_screen.Screen, exact: bool = False
) -> Iterator[Conductor]:
    """
    Give a conductor that tells its events to whoever listens, and that they, and signals, may interrupt.

    Args:
        exact: Whether whoever looks wants every byte, and so may hold up the nodes.
    """
    with event_queue.Events(event_socket, screen, exact=exact) as queue:
        conductor = Conductor(agents.loop, agents, queue.tell)
        signals.obey(conductor, queue)
        try:
            yield conductor
        finally:
            conductor.tell_times()

# SPDX-License-Identifier: GPL-3.0-or-later
"""Host the conductor, or a question to nodes, in an action that runs once a play."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common.event_loop import Loop
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.conductor import Conductor
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes import choose_way
from ansible_collections.madctl.multinode.plugins.plugin_utils._run import event_queue, signals
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import playbook_screen


@contextmanager
def agents_of(action: Any, task_vars: Any, hosts: Sequence[str] | None = None) -> Iterator[Agents]:
    """Give the agents of some hosts of the play, or of all."""
    named = task_vars["ansible_play_hosts_all"] if hosts is None else hosts
    with closing(Loop()) as loop, Agents(loop, choose_way.to(named, action, task_vars["hostvars"])) as agents:
        yield agents


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
        yield conductor

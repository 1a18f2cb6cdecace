# SPDX-License-Identifier: GPL-3.0-or-later
"""Host agents and the conductor in an action that runs once per play."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common.event_loop import Loop
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import event_queue, timing
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.conductor import Conductor
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes import choose_way
from ansible_collections.madctl.multinode.plugins.plugin_utils._run import signals
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import playbook_screen


@contextmanager
def agents_of(
    action: Any, task_vars: Any, hosts: Sequence[str] | None = None, variables: dict[str, Any] | None = None
) -> Iterator[Agents]:
    """
    Yield the agents of some hosts of the play, or of all.

    Args:
        variables: Variables of hosts that were already read, because Ansible computes them again on each access.
    """
    named = task_vars["ansible_play_hosts_all"] if hosts is None else hosts
    clock = timing.Clock("reach, probe", timing.is_wanted())
    ways = choose_way.to(named, action, ChainMap(variables or {}, task_vars["hostvars"]))
    with closing(Loop()) as loop, Agents(loop, ways, clock) as agents:
        yield agents


@contextmanager
def conducted(
    agents: Agents, event_socket: str | None, screen: playbook_screen.Screen, exact: bool = False
) -> Iterator[Conductor]:
    """
    Yield a conductor that sends its events to the listener, and that the listener and signals may interrupt.

    Args:
        exact: Whether the screen needs every byte, and so may slow down the nodes.
    """
    with event_queue.Events(event_socket, screen.on_event, screen.flush, exact, screen.beat) as queue:
        conductor = Conductor(agents, queue.tell)
        signals.obey(conductor, queue)
        try:
            yield conductor
        finally:
            conductor.tell_times()

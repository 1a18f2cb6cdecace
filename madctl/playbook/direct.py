# SPDX-License-Identifier: Apache-2.0
"""Query nodes, and read the files of a run there, with our own agents instead of Ansible."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common.event_loop import Loop
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents
from ansible_collections.madctl.multinode.plugins.module_utils._request.variables import PREFIX
from ansible_collections.madctl.multinode.plugins.module_utils._ways.way import Ways
from madctl.nodes.inventory import Targets
from madctl.playbook import EventListener, TaskListener


class Direct:
    """Does what a playbook would do, in place of ``engine.Engine``, and passes events on as that does."""

    failure: str | None = None

    def __init__(self, on_task: TaskListener, on_event: EventListener, ways: Ways) -> None:
        self._on_task, self._on_event, self._ways = on_task, on_event, ways
        self._orders, self._order = socket.socketpair()

    def __enter__(self) -> Direct:
        return self

    def __exit__(self, *_: object) -> None:
        self._order.close()
        self._orders.close()

    def run(self, playbook: str, targets: Targets, variables: dict[str, Any]) -> None:
        """Query nodes, or read to the end of the run or of its files; then report as the playbook's action would."""
        del targets
        answer = self._read(variables) if playbook == "logs" else self._ask(playbook, variables)
        self._on_task(f"madctl.multinode.run_{playbook}", "", answer)

    def _ask(self, playbook: str, variables: dict[str, Any]) -> dict[str, Any]:
        from ansible_collections.madctl.multinode.plugins.module_utils._conduct import find_run, questions

        arguments = {name.removeprefix(PREFIX): value for name, value in variables.items()}
        with Agents(Loop(), self._ways) as agents:
            try:
                return questions.BY_NAME[playbook](agents, arguments)
            except find_run.Unknown as unknown:
                return {"nodes": unknown.nodes, "problems": unknown.problems}

    def _read(self, variables: dict[str, Any]) -> dict[str, Any]:
        from ansible_collections.madctl.multinode.plugins.module_utils._common import wire
        from ansible_collections.madctl.multinode.plugins.module_utils._conduct import event_queue, read_run
        from ansible_collections.madctl.multinode.plugins.module_utils._conduct.conductor import Conductor

        read_only = bool(variables.get("madctl_read_only", True))
        events = event_queue.Events(None, self._on_event, lambda: None, exact=True)
        with Agents(Loop(), self._ways) as agents, events as queue:
            conductor = Conductor(agents, queue.tell)
            conductor.is_held = queue.is_full

            def obey() -> None:
                order = self._orders.recv(1)
                conductor.obey(order)
                if order not in (wire.STOP, wire.KILL):
                    queue.leave()

            agents.loop.watch(self._orders, obey)
            arguments = {name.removeprefix(PREFIX): value for name, value in variables.items()}
            return read_run.read(conductor, agents, arguments["plan"], read_run.wanted(arguments), read_only)[0]

    def stop(self, order: bytes, leaving: bool = False) -> bool:
        """Send an order to the reader, which passes it on."""
        del leaving
        with contextlib.suppress(OSError):  # It has ended.
            self._order.send(order)
        return True

    def cancel(self) -> None:
        """Do nothing: orders always arrive."""

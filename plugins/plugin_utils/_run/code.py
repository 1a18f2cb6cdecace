# SPDX-License-Identifier: GPL-3.0-or-later
"""Send the directory of ``sync`` to all nodes before they are inspected."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common import events
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.conductor import Conductor
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.sending import Sending
from ansible_collections.madctl.multinode.plugins.module_utils._sync.code import Code


def sending(code: Code, given: dict[str, Any], is_dry: bool) -> Callable[[Agents], Sending]:
    """Return a function that creates the sender of code, once there are agents."""
    return partial(Sending, tree=code.tree, run_dir=given["run_dir"], only_look=is_dry)


def tell(conductor: Conductor, code: Code, sent: Sending) -> None:
    """Report what was sent, with the difference to its commit; nothing if no node has answered."""
    if not sent.has_answers:
        return
    told = {"code": code.about, "nodes": len(sent.receivers), "sent": sent.sent}
    conductor.pass_on({"event": events.SYNCED, **told}, code.diff)

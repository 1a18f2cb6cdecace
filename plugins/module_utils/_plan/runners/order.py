# SPDX-License-Identifier: Apache-2.0
"""
All runners. A runner consists of a row of ``_common/runners`` and a file here, which is listed below.

Private to the collection.
"""

from __future__ import annotations

from typing import Any, Dict, List, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import runners
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import NodePlan, Plan
from ansible_collections.madctl.multinode.plugins.module_utils._plan.runners import command, madengine, mpirun, torchrun
from ansible_collections.madctl.multinode.plugins.module_utils._plan.starter import Starter

STARTERS: Tuple[Starter, ...] = (torchrun.STARTER, mpirun.STARTER, command.STARTER, madengine.STARTER)


def of(shape: str, runner: str) -> List[Starter]:
    """Return what writes a plan: the starter of the runner, then for work other than a script that of its shape."""
    names = dict.fromkeys((runners.ranks_by(runner).name, runners.job_of(shape, runner).name))
    return [starter for name in names for starter in STARTERS if starter.name == name]


def on_node(plan: Plan, node: NodePlan, secret: str) -> Dict[str, Any]:
    """
    Return what runners need on a node: ``files`` by name, the ``relay`` of daemons, the program that runs ``after`` the
    job.
    """
    starters = of(plan["shape"], plan["runner"])
    given = [starter.files(plan, node, secret) for starter in starters if starter.files]
    return {
        "files": {name: text for files in given for name, text in files.items()},
        "relay": next((starter.relay(plan, node, secret) for starter in starters if starter.relay), None),
        "after": next((starter.after for starter in starters if starter.after), None),
    }

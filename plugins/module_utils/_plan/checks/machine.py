# SPDX-License-Identifier: Apache-2.0
"""Find machines that are listed under two names, and nodes that another run uses. Pure; private to the collection."""

from __future__ import annotations

from typing import Any, Dict, List

from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem, problem
from ansible_collections.madctl.multinode.plugins.module_utils._plan.case import Case, Choices


def judge(case: Case, _: Choices) -> List[Problem]:
    """Return a problem for each name of a machine after its first, and for each node that is in use."""
    first: Dict[Any, str] = {}
    found = []
    for host, facts in case.nodes:
        known = first.setdefault((facts["machine_id"], facts["boot_id"]), host)
        if known != host:
            found.append(problem("DUPLICATE_MACHINE", host, "is the same machine as %s" % known))
        if facts["locked_by"]:
            found.append(problem("NODE_BUSY", host, "already used by run %s" % facts["locked_by"]))
    return found

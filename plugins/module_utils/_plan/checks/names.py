# SPDX-License-Identifier: Apache-2.0
"""Find nodes whose own name resolves to loopback. Pure; private to the collection."""

from __future__ import annotations

from typing import List

from ansible_collections.madctl.multinode.plugins.module_utils._common.addresses import is_loopback
from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem, problem
from ansible_collections.madctl.multinode.plugins.module_utils._plan.case import Case, Choices


def judge(case: Case, _: Choices) -> List[Problem]:
    """Return a problem for each such node; a single node has no peers to mislead."""
    return [
        problem("NAME_IS_LOOPBACK", host, "its own name %s resolves to %s" % (facts["hostname"], facts["names"][0]))
        for host, facts in case.nodes
        if len(case.hosts) > 1 and facts["names"] and all(map(is_loopback, facts["names"]))
    ]

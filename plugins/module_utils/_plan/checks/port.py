# SPDX-License-Identifier: Apache-2.0
"""Choose the port on the first node at which all nodes meet. Pure; private to the collection."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import problem
from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import of_errno
from ansible_collections.madctl.multinode.plugins.module_utils._plan.case import Case, Choices, Chosen


def choose(case: Case, choices: Choices) -> Chosen:
    """Choose the requested port, 0 if it cannot be used."""
    host, fact = case.hosts[0], case.facts[0]
    if case.request.master_port == "auto":
        return replace(choices, port=fact["port"]["free"]), []
    number, error, holder = int(case.request.master_port), fact["port"]["error"], fact["port"]["holder"]
    if number < fact["privileged_below"] and fact["user_id"] != 0:
        return choices, [problem("PORT_PRIVILEGED", host, "master port %d needs root" % number)]
    if error == "EADDRINUSE":
        message = "master port %d is in use%s" % (number, " by " + holder if holder else "")
        return choices, [problem("PORT_IN_USE", host, message)]
    if error:
        return choices, [
            problem("PORT_UNUSABLE", host, "master port %d cannot be used: %s" % (number, of_errno(error)))
        ]
    return replace(choices, port=number), []

# SPDX-License-Identifier: Apache-2.0
"""What a playbook is refused for."""

from ansible_collections.madctl.multinode.plugins.module_utils._request import validation


def refusals(given):
    """Return all problems of the arguments of a task that plans a launch."""
    parsed, problems = validation.parsed(given)
    return problems + validation.contradictions(parsed)

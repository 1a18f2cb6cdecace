# SPDX-License-Identifier: GPL-3.0-or-later
"""Results of actions: their findings, their problems, and whether they fail with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import playbook_screen


def judged(
    found: dict[str, Any], problems: list[codes.Problem], arguments: dict[str, Any], hosts: Sequence[str]
) -> dict[str, Any]:
    """
    Add problems to a result, which fails with them; its content is for other tasks, not for the screen.

    ``failures`` has the message of a task that fails on each host to blame, after causes and remedies were shown.

    Args:
        hosts: All hosts of the play, which are all to blame for a problem that no single host has.
        arguments: Those of the task. Its role may have a later task that fails, so that a failure is one line and not a
            whole result.
    """
    result = {**found, "problems": problems, "_ansible_verbose_override": True}
    if problems:
        blamed = {entry["host"] for entry in problems}
        are_all = None in blamed or blamed.isdisjoint(hosts)
        result["msg"] = playbook_screen.message(problems)
        result["failures"] = {
            host: playbook_screen.summary(problems, host) for host in hosts if are_all or host in blamed
        }
        if boolean(arguments.get("fail_on_problems", True)):
            result["failed"] = True
    return result

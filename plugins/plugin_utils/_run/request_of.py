# SPDX-License-Identifier: GPL-3.0-or-later
"""Turn the arguments of a task, as people write them, into a request."""

from __future__ import annotations

from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes
from ansible_collections.madctl.multinode.plugins.module_utils._request import launch_request, run_ids, validation
from ansible_collections.madctl.multinode.plugins.module_utils._request.request import Request
from ansible_collections.madctl.multinode.plugins.module_utils._show import chosen as chosen_output
from ansible_collections.madctl.multinode.plugins.module_utils._show.chosen import Chosen
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes.variables import plain
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import playbook_screen


def arguments_of(given: dict[str, Any]) -> dict[str, Any]:
    """
    Parse the arguments of a task, as people write them.

    Raises:
        AnsibleActionFail: If one is invalid; one line each.
    """
    found, problems = validation.parsed(plain(given))
    playbook_screen.refuse(problems)
    return found


def read(given: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
    """
    Parse the arguments of a task that plans a launch; those that are not set get their defaults.

    Args:
        variables: The variables of every host, by host.

    Raises:
        AnsibleActionFail: If something is invalid; one line each.
    """
    found, problems = validation.parsed(plain(given))
    playbook_screen.refuse(problems + validation.contradictions(found) + validation.judge_hosts(variables))
    try:
        return launch_request.filled(found)
    except (ValueError, TypeError) as error:
        malformed = codes.problem("CONTEXT_MALFORMED", None, "additional_context: %s" % error)
        raise playbook_screen.refusal([malformed]) from error


def request(arguments: dict[str, Any], slots: tuple[int | None, ...]) -> Request:
    """Build a request from arguments; without a run ID it is a new run."""
    return launch_request.request({**arguments, "run_id": arguments.get("run_id") or run_ids.new()}, slots)


def slots(variables: dict[str, Any], hosts: list[str]) -> tuple[int | None, ...]:
    """Return how many processes each host may have, if its variables specify that."""
    return tuple(_number(variables[host].get("madctl_slots")) for host in hosts)


def chosen(arguments: dict[str, Any]) -> Chosen:
    """Return whose output to show."""
    return chosen_output.of(arguments.get("show_hosts") or [], arguments.get("show_ranks") or [])


def in_rank_order(variables: dict[str, Any]) -> list[str]:
    """Order hosts by ``madctl_node_rank`` if all have one, otherwise keep the play's order."""
    ranks = {host: _number(own.get("madctl_node_rank")) for host, own in variables.items()}
    if None in ranks.values():
        return list(ranks)
    return sorted(ranks, key=lambda host: ranks[host] or 0)


def _number(given: Any) -> int | None:
    return None if given is None else int(given)

# SPDX-License-Identifier: GPL-3.0-or-later
"""Turn the arguments of a task, as people write them, into a request, and into the request of a probe."""

from __future__ import annotations

import secrets
import time
from dataclasses import fields
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common import catalog, codes, raw_words
from ansible_collections.madctl.multinode.plugins.module_utils._request import madengine_options, validation
from ansible_collections.madctl.multinode.plugins.module_utils._request.request import Request
from ansible_collections.madctl.multinode.plugins.module_utils._request.variables import TABLE
from ansible_collections.madctl.multinode.plugins.module_utils._show import chosen as chosen_output
from ansible_collections.madctl.multinode.plugins.module_utils._show.chosen import Chosen
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes.variables import plain
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import playbook_screen

# Variables of a job that decide what it finds on a node; no others are sent to nodes for the probe.
_DECISIVE = ("PATH", "PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH")


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
        variables: Those of every host, by host.

    Raises:
        AnsibleActionFail: If something is invalid; one line each.
    """
    found, problems = validation.parsed(plain(given))
    playbook_screen.refuse(problems + validation.contradictions(found) + validation.judge_hosts(variables))
    found["additional_context"] = _contexts(found.get("additional_context", {}))
    return {**{row.name: [] if row.split else row.default for row in TABLE}, **found}


def shared_paths(arguments: dict[str, Any]) -> list[str]:
    """List the paths that must be on shared storage."""
    return validation.mirrored(arguments["shared_paths"], arguments["force_mirror_local"])


def probe(arguments: dict[str, Any], write: bool, in_full: bool) -> dict[str, Any]:
    """
    Write the request of a probe of each node.

    Args:
        arguments: As ``read`` returns them.
        in_full: Whether to find out also what this launch does not need: which mpirun there is takes a start of it.
        write: Whether files are written on shared storage for a proof that follows.
    """
    copied = ("work", "shape", "tags", "python", "mpirun", "chdir", "run_dir")
    return {
        **{name: arguments[name] for name in copied},
        "mpi": in_full or catalog.applies("mpi", arguments["shape"], arguments["runner"]),
        "port": arguments["master_port"],
        "shared_paths": shared_paths(arguments),
        "env": decisive(arguments["env"]),
        "write": write,
    }


def decisive(env: dict[str, Any]) -> dict[str, str]:
    """Return the variables of a job that decide what it finds on a node."""
    return {name: raw_words.unpack(value) for name, value in env.items() if name in _DECISIVE}


def request(arguments: dict[str, Any], slots: tuple[int | None, ...]) -> Request:
    """Build a request from arguments; what is None keeps its default."""
    names = [field.name for field in fields(Request) if arguments.get(field.name) is not None]
    given: Any = {
        name: tuple(arguments[name]) if isinstance(arguments[name], list) else arguments[name] for name in names
    }
    given.setdefault("run_id", new_run_id())
    return Request(slots=slots, **given)


def slots(variables: dict[str, Any], hosts: list[str]) -> tuple[int | None, ...]:
    """Return how many processes each host may have, if its variables say so."""
    return tuple(_number(variables[host].get("madctl_slots")) for host in hosts)


def chosen(arguments: dict[str, Any]) -> Chosen:
    """Return whose output is shown."""
    return chosen_output.of(arguments.get("show_hosts") or [], arguments.get("show_ranks") or [])


def in_rank_order(variables: dict[str, Any]) -> list[str]:
    """Order hosts by ``madctl_node_rank`` if all have one, otherwise keep the play's order."""
    ranks = {host: _number(own.get("madctl_node_rank")) for host, own in variables.items()}
    if None in ranks.values():
        return list(ranks)
    return sorted(ranks, key=lambda host: ranks[host] or 0)


def new_run_id() -> str:
    """Return a new run ID; IDs sort by time and never collide."""
    return "%s-%s" % (time.strftime("%Y%m%d-%H%M%S"), secrets.token_hex(4))


def _number(given: Any) -> int | None:
    return None if given is None else int(given)


def _contexts(given: Any) -> tuple[dict[str, Any], ...]:
    """Parse additional contexts, each a mapping or text as madengine takes it; a list has several."""
    layers = given if isinstance(given, list) else [given]
    return tuple(_context(layer) for layer in layers)


def _context(given: Any) -> dict[str, Any]:
    try:
        if isinstance(given, str):
            return madengine_options.parse(given)
        return madengine_options.checked(dict(given))
    except (ValueError, TypeError) as error:
        found = codes.problem("CONTEXT_MALFORMED", None, "additional_context: %s" % error)
        raise playbook_screen.refusal([found]) from error

# SPDX-License-Identifier: GPL-3.0-or-later
"""Turn the arguments of a task, as people write them, into a request, and into what is asked of every node."""

from __future__ import annotations

import secrets
import time
from dataclasses import fields
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.madctl.multinode.plugins.module_utils._common import catalog, codes, raw_words
from ansible_collections.madctl.multinode.plugins.module_utils._request import madengine_options, validation
from ansible_collections.madctl.multinode.plugins.module_utils._request.request import Request
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes.variables import plain
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import playbook_screen

_LISTS = ("tags", "replace_containers", "mpi_args", "shared_paths", "shared_fstypes", "skip", "only")
_TYPES: dict[str, Any] = {"bool": boolean, "float": float, "str": str, "Optional[str]": str}
# Variables of a job that decide what it finds on a node; no other is sent to look at nodes.
_DECISIVE = ("PATH", "PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH")


def read(given: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
    """
    Take the arguments of a task as people write them.

    Args:
        variables: Those of every host, by host.

    Raises:
        AnsibleActionFail: If something cannot be meant; a line each.
    """
    arguments = dict(given)
    for name in _LISTS:
        arguments[name] = validation.listed(arguments.get(name))
    arguments["work"] = raw_words.split(arguments.get("work"))
    playbook_screen.refuse(validation.judge(arguments) + validation.judge_hosts(variables))
    return arguments


def shared_paths(arguments: dict[str, Any]) -> list[str]:
    """List the paths that must be on shared storage."""
    return list(map(str, validation.mirrored(arguments["shared_paths"], arguments.get("force_mirror_local"))))


def probe(arguments: dict[str, Any], write: bool, in_full: bool) -> dict[str, Any]:
    """
    Write what every node is asked when it is looked at.

    Args:
        in_full: Whether also for what this launch does not need: to ask an mpirun what it is takes a start of it.
        write: Whether files are written on shared storage for a proof that follows.
    """
    decisive = {name: value for name, value in (arguments.get("env") or {}).items() if name in _DECISIVE}
    named = {name: _text(arguments.get(name)) for name in ("python", "mpirun", "chdir", "run_dir")}
    shape = str(arguments.get("shape") or Request.shape)
    return {
        **named,
        "work": [_plain(word) for word in arguments["work"]],
        "shape": shape,
        "tags": list(map(str, arguments["tags"])),
        "mpi": in_full or catalog.applies("mpi", shape, str(arguments.get("runner") or Request.runner)),
        "port": str(arguments.get("master_port") or "29500"),
        "shared_paths": shared_paths(arguments),
        "shared_fstypes": list(map(str, arguments["shared_fstypes"])),
        "env": {name: raw_words.unpack(value) for name, value in decisive.items()},
        "write": write,
    }


def request(arguments: dict[str, Any], slots: tuple[int | None, ...]) -> Request:
    """Turn arguments into a request; what is None keeps its default."""
    names = {field.name for field in fields(Request)}
    given = {name: value for name, value in arguments.items() if name in names and value is not None and value != ""}
    for name in ("work", "mpi_args", "shared_fstypes", "skip", "only"):
        if name in given:
            given[name] = tuple(_plain(word) for word in given[name])
    for name in ("tags", "replace_containers"):
        if name in given:
            given[name] = tuple(map(str, given[name]))
    if "additional_context" in given:
        given["additional_context"] = _contexts(given["additional_context"])
    given["env"] = {str(name): _plain(value) for name, value in (given.get("env") or {}).items()}
    # Ansible before 2.19 makes text of every number that a template gives.
    for field in fields(Request):
        if field.name in given and field.type in _TYPES:
            given[field.name] = _TYPES[str(field.type)](given[field.name])
    given.setdefault("run_id", new_run_id())
    given.setdefault("work", ())
    return Request(slots=slots, **given)


def slots(variables: dict[str, Any], hosts: list[str]) -> tuple[int | None, ...]:
    """Read how many processes each host may have, where its variables say so."""
    return tuple(_number(variables[host].get("madctl_slots")) for host in hosts)


def in_rank_order(variables: dict[str, Any]) -> list[str]:
    """Order hosts by ``madctl_node_rank`` where all have one, else leave the play's order."""
    ranks = {host: _number(own.get("madctl_node_rank")) for host, own in variables.items()}
    if None in ranks.values():
        return list(ranks)
    return sorted(ranks, key=lambda host: ranks[host] or 0)


def new_run_id() -> str:
    """Name a run so that names sort by time and two never meet."""
    return "%s-%s" % (time.strftime("%Y%m%d-%H%M%S"), secrets.token_hex(4))


def _number(given: Any) -> int | None:
    return None if given is None else int(given)


def _text(given: Any) -> str | None:
    return None if given in (None, "") else str(given)


def _contexts(given: Any) -> tuple[dict[str, Any], ...]:
    """Take additional contexts, each as a mapping or as text the way madengine takes it; a list has several."""
    layers = given if isinstance(given, list) else [given]
    return tuple(_context(layer) for layer in layers)


def _context(given: Any) -> dict[str, Any]:
    try:
        if isinstance(given, str):
            return madengine_options.parse(given)
        return madengine_options.checked(dict(plain(given)))
    except (ValueError, TypeError) as error:
        found = codes.problem("CONTEXT_MALFORMED", None, "additional_context: %s" % error)
        raise playbook_screen.refusal([found]) from error


def _plain(word: Any) -> Any:
    return dict(word) if isinstance(word, dict) else str(word)

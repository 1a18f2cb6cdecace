# SPDX-License-Identifier: Apache-2.0
"""
Turn the parsed arguments of a launch into its request, and into the request for the probe of each node.

Pure; private to the collection.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Dict, List, Mapping, Optional, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import catalog, raw_words
from ansible_collections.madctl.multinode.plugins.module_utils._request import madengine_options, validation
from ansible_collections.madctl.multinode.plugins.module_utils._request.request import Request
from ansible_collections.madctl.multinode.plugins.module_utils._request.variables import TABLE

# Variables of a job that affect what it finds on a node; no others are sent to nodes for the probe.
_DECISIVE = ("PATH", "PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH")

Arguments = Mapping[str, Any]


def filled(parsed: Arguments) -> Dict[str, Any]:
    """
    Fill in defaults for what was not set, and parse additional contexts.

    Raises:
        ValueError: If a context is malformed; TypeError likewise.
    """
    contexts = _contexts(parsed.get("additional_context", {}))
    defaults = {row.name: [] if row.split else row.default for row in TABLE}
    return {**defaults, **parsed, "additional_context": contexts}


def _contexts(given: Any) -> Tuple[Dict[str, Any], ...]:
    """Parse additional contexts, each a mapping or a text as madengine accepts it; a list has several."""
    layers = given if isinstance(given, list) else [given]
    return tuple(
        madengine_options.parse(layer) if isinstance(layer, str) else madengine_options.checked(dict(layer))
        for layer in layers
    )


def shared_paths(arguments: Arguments) -> List[str]:
    """List the paths that must be on shared storage."""
    return validation.mirrored(arguments["shared_paths"], arguments["force_mirror_local"])


def probe(arguments: Arguments, write: bool, in_full: bool) -> Dict[str, Any]:
    """
    Build the request for the probe of each node.

    Args:
        arguments: As ``filled`` returns them.
        in_full: Whether to also probe what this launch does not need: identifying an mpirun requires starting it.
        write: Whether files are written on shared storage for a proof that follows.
    """
    copied = ("work", "shape", "tags", "python", "mpirun", "chdir", "run_dir", "setup", "login_shell", "start_timeout")
    env = {name: raw_words.unpack(value) for name, value in arguments["env"].items()}
    return {
        **{name: arguments[name] for name in copied},
        "mpi": in_full or catalog.applies("mpi", arguments["shape"], arguments["runner"]),
        "port": arguments["master_port"],
        "shared_paths": shared_paths(arguments),
        # A setup may use any of them.
        "env": env if arguments["setup"] else decisive(arguments["env"]),
        "write": write,
    }


def probes(arguments: Arguments, probe_of_all: Dict[str, Any]) -> Dict[str, Dict[str, Any]]:
    """
    Return how the request for a probe differs on hosts with their own settings, by host.

    Args:
        probe_of_all: As ``probe`` returns it.
    """
    found = {}
    for host, own in (arguments.get("own") or {}).items():
        env = own.get("env", {})
        words = {name: raw_words.unpack(value) for name, value in env.items()} if arguments["setup"] else decisive(env)
        python = {"python": own["python"]} if "python" in own else {}
        found[host] = {**python, "env": {**probe_of_all["env"], **words}}
    return found


def decisive(env: Arguments) -> Dict[str, str]:
    """Return the variables of a job that affect what it finds on a node."""
    return {name: raw_words.unpack(value) for name, value in env.items() if name in _DECISIVE}


def request(arguments: Arguments, slots: Tuple[Optional[int], ...]) -> Request:
    """Build a request from arguments; None keeps the default."""
    names = [field.name for field in fields(Request) if arguments.get(field.name) is not None]
    given: Any = {
        name: tuple(arguments[name]) if isinstance(arguments[name], list) else arguments[name] for name in names
    }
    return Request(slots=slots, **given)

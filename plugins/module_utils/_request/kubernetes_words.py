# SPDX-License-Identifier: Apache-2.0
"""
Parse the user's own words for Kubernetes, and adapt the arguments of a launch that have another meaning in pods.

Pure; private to the collection.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import command_line
from ansible_collections.madctl.multinode.plugins.module_utils._common.raw_words import Word, unpack
from ansible_collections.madctl.multinode.plugins.module_utils._request.variables import BY_NAME

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?[0-9]{1,2}))?", re.ASCII)
_SUFFIXES = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 10**3),
    "k": Fraction(10**3),
    **{name: Fraction(1000 ** (at + 2)) for at, name in enumerate("MGTPE")},
    **{name + "i": Fraction(1024 ** (at + 1)) for at, name in enumerate("KMGTPE")},
}
_LONGEST_QUANTITY = 40  # characters
# Arguments that only the launching machine needs, besides those about the Job itself.
_HERE = ("on", "dry_run", "detach", "show_hosts", "show_ranks", "install", "become")
# Of the arguments that are never typed, the only ones that pods need.
_INTERNAL = ("python_required", "chdir_required", "proof")


class Toleration(NamedTuple):
    """A taint of nodes that pods tolerate; None stands for any value, or any effect."""

    key: str
    value: Optional[str]
    effect: Optional[str]


class Volume(NamedTuple):
    """A persistent volume claim, and where containers mount it."""

    claim: str
    path: str
    read_only: bool


def toleration(text: str) -> Toleration:
    """
    Parse ``KEY[=VALUE][:EFFECT]``.

    Raises:
        ValueError: If it is something else.
    """
    taint, colon, effect = text.partition(":")
    key, equals, value = taint.partition("=")
    if not key or (colon and effect not in EFFECTS):
        raise ValueError(text)
    return Toleration(key, value if equals else None, effect or None)


def volume(text: str) -> Volume:
    """
    Parse ``CLAIM:PATH[:ro]``.

    Raises:
        ValueError: If it is something else.
    """
    claim, _, rest = text.partition(":")
    path, colon, mode = rest.partition(":")
    if not claim or not path or (colon and mode != "ro"):
        raise ValueError(text)
    return Volume(claim, path, mode == "ro")


def pair(text: str) -> Tuple[str, str]:
    """
    Parse ``NAME=VALUE``, whose value may be empty.

    Raises:
        ValueError: If it is something else.
    """
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise ValueError(text)
    return name, value


def quantity(text: str) -> Fraction:
    """
    Parse a quantity as Kubernetes writes it, such as 500m, 1.5, 64Gi or 1e3, except negative ones.

    Raises:
        ValueError: If it is something else.
    """
    found = _QUANTITY.fullmatch(text) if len(text) <= _LONGEST_QUANTITY else None
    if found is None:
        raise ValueError(text)
    number, suffix, exponent = found.groups()
    scale = _SUFFIXES[suffix] if suffix else Fraction(10) ** int(exponent or 0)
    return Fraction(number if number[-1] != "." else number[:-1]) * scale


# -- arguments in pods --------------------------------------------------------------------------------------


def in_pods(given: Mapping[str, Any], run_id: str, usual_port: Optional[str] = None) -> Dict[str, Any]:
    """
    Return the arguments of a launch in the form in which its pods read them.

    Pods of one node may share its network. They are not machines, and the cluster decides which pod gets which node.

    Args:
        usual_port: The default port of the rendezvous, with which the arguments are filled if the user chose none.
    """
    port = given.get("master_port")
    return {
        **{name: value for name, value in given.items() if value is not None and _is_for_pods(name)},
        "run_id": run_id,
        "master_port": "auto" if port in (None, usual_port) else port,
        "skip": sorted({*(given.get("skip") or ()), "machine"}),
    }


def _is_for_pods(name: str) -> bool:
    row = BY_NAME.get(name)  # None for other arguments of a task
    if row is None or row.scheduler or name in _HERE:
        return False
    return not row.is_internal or name in _INTERNAL


def script(work: Sequence[Word], shape: str) -> Optional[str]:
    """Return the path of the script that an interpreter runs, as it was typed; None if there is none."""
    return command_line.entry_script(work, shape) if work else None


def with_script(work: Sequence[Word], typed: str, path: str) -> List[Word]:
    """Return the work with another path instead of its script."""
    at = [unpack(word) for word in work].index(typed)
    return [*work[:at], path, *work[at + 1 :]]

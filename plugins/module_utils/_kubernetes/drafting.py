# SPDX-License-Identifier: Apache-2.0
"""
Draft the objects of a run, or of a check, from the parsed arguments of a launch.

No code here contacts the cluster. Private to the collection.
"""

from __future__ import annotations

import json
import os
import secrets
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import pods as names
from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem
from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import reason
from ansible_collections.madctl.multinode.plugins.module_utils._common.refusal import Refused
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import delivery, limits, manifests
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import parcel as parcels
from ansible_collections.madctl.multinode.plugins.module_utils._request import kubernetes_words, validation
from ansible_collections.madctl.multinode.plugins.module_utils._request.variables import BY_NAME

Arguments = Mapping[str, Any]

_KEY_BYTES = 32
# A cluster takes objects of up to 1 MiB; as text, each is a third longer.
PART_BYTES = 700_000


class Draft(NamedTuple):
    """A run that is not created yet: its arguments by the names of the table of options, and what its pods get."""

    asked: Arguments
    parcel: parcels.Parcel

    def objects(self, with_secret: bool = True) -> List[manifests.Manifest]:
        """Return its objects in the order in which they are created."""
        return manifests.objects(self.asked, self.parcel, with_secret)


def draft(
    arguments: Arguments,
    run_id: str,
    only: Optional[str] = None,
    usual_port: Optional[str] = None,
    named: limits.Named = validation.as_variable,
    code: Optional[parcels.Code] = None,
) -> Draft:
    """
    Draft a run.

    Args:
        only: What the pods do instead of launching.
        usual_port: The default port of the rendezvous, with which the arguments are filled if the user chose none.
        named: Returns the user's name for a row of the table of options.
        code: The code that its pods get.

    Raises:
        Refused: If the script or the code cannot be sent.
    """
    asked, script = {**arguments, "run_id": run_id}, None
    if asked.get("k8s_send_script"):
        path, script = _script(asked, named(BY_NAME["k8s_send_script"]))
        place = "%s/%s" % (names.PROGRAMS, script[0])
        asked["work"] = kubernetes_words.with_script(asked["work"], path, place)
    request: Dict[str, Any] = {
        "arguments": kubernetes_words.in_pods(asked, run_id, usual_port),
        "agents_seconds": manifests.agents_seconds(asked),
        **({"only": only} if only else {}),
        **({"code": code.about} if code else {}),
    }
    if code and len(code.parts) > names.MOST_PARTS:
        raise _too_large(code, named(BY_NAME["sync"]))
    data, key = json.dumps(request).encode(), secrets.token_bytes(_KEY_BYTES)
    parcel = parcels.Parcel(run_id, key, data, delivery.pod_program(), delivery.programs(), script, code)
    return Draft(asked, parcel)


def code(about: Dict[str, Any], diff: bytes, warnings: List[Problem], data: bytes) -> parcels.Code:
    """
    Return the code that pods get, in parts.

    Args:
        about: Its description for reports.
        diff: Its difference to its commit.
        warnings: What will be missing on pods.
        data: The bytes that pods get.
    """
    parts = tuple(data[at : at + PART_BYTES] for at in range(0, len(data), PART_BYTES))
    return parcels.Code(about, diff, warnings, parts)


def problems(drafted: Draft, named: limits.Named = validation.as_variable) -> List[Problem]:
    """Find what a cluster would refuse, including objects that are too large."""
    return limits.problems(drafted.asked, named) or limits.sizes(drafted.objects(), named)


def _too_large(code: parcels.Code, called: str) -> Refused:
    size, most = sum(map(len, code.parts)) / 1000**2, names.MOST_PARTS * PART_BYTES / 1000**2
    message = "%s: the code takes %.1f MB compressed, but pods can be sent at most %.1f MB" % (called, size, most)
    remedy = "list what pods do not need in .madctlignore, or have it in the image or on a volume"
    return Refused("SYNC_TOO_LARGE", message, remedy)


def _script(asked: Arguments, called: str) -> Tuple[str, Tuple[str, bytes]]:
    """Read the script; return its path as it was typed, its name and its bytes."""
    path = kubernetes_words.script(asked.get("work") or [], asked["shape"])
    if path is None:
        raise Refused("USAGE", "%s needs a script that Python or a shell runs" % called, "write: train.py")
    name = os.path.basename(path)
    try:
        with open(path, "rb") as stream:
            data = stream.read(limits.SCRIPT_BYTES + 1)
    except OSError as error:
        remedy = "leave it out if the image has it"
        raise Refused("USAGE", "%s: %s: %s" % (called, path, reason(error)), remedy) from error
    why, remedy = limits.script(name, data)
    if why:
        raise Refused("USAGE", "%s: %s %s" % (called, path, why), remedy)
    return path, (name, data)

# SPDX-License-Identifier: Apache-2.0
"""
Find which GPUs of a node a job sees, by the variables that hide some. Pure; private to the collection.

The vendors' runtimes read them like this: an invalid index ends the list, and so does -1; an empty value, or a GPU that
is listed twice, hides all. https://docs.nvidia.com/cuda (CUDA_VISIBLE_DEVICES), https://rocm.docs.amd.com (GPU
isolation techniques).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Dict, List, Optional, Set, Tuple

if TYPE_CHECKING:
    from ansible_collections.madctl.multinode.plugins.module_utils._common.fact_shapes import Gpus, Holder

NAMES = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL")
# Each stage counts among the GPUs that the stage before leaves; within a stage the first variable that is set counts.
_STAGES: Dict[str, Tuple[Tuple[str, ...], ...]] = {
    "nvidia": (("CUDA_VISIBLE_DEVICES",),),
    "amd": (
        ("ROCR_VISIBLE_DEVICES",),
        ("HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL"),
    ),
}
_MOST = 1024

# The index of a GPU on its node; None if unknown, as for a part of a GPU.
Place = Optional[int]


def seen(gpus: Gpus, environment: Dict[str, str]) -> Gpus:
    """
    Return the facts of a node's GPUs as a job sees them.

    Args:
        gpus: As ``gpus.gpus`` returns them.
        environment: The job's environment, at least the variables in ``NAMES``.

    Returns:
        The same facts; if variables hide GPUs, without those GPUs, and with ``hidden_by``, the variables.
    """
    places: List[Place] = list(range(gpus["count"]))
    hidden_by = []
    for names in _STAGES.get(str(gpus.get("vendor")), ()):
        name = next((entry for entry in names if entry in environment), None)
        if name is not None:
            places = _chosen(environment[name], places, gpus.get("uuids") or [])
            hidden_by.append(name)
    if not hidden_by:
        return gpus
    models, known = gpus.get("models") or [], {place for place in places if place is not None}
    usual = models[0] if models else "unknown"
    holders = [entry for entry in gpus.get("holders") or [] if _matters(entry, places, known)]
    return {
        **gpus,
        "count": len(places),
        "models": [usual if place is None or place >= len(models) else models[place] for place in places],
        "holders": holders,
        "hidden_by": hidden_by,
    }


def _matters(holder: Holder, places: List[Place], known: Set[int]) -> bool:
    """Return whether a process holds a GPU that the job sees, as far as both are known."""
    return bool(places) and (None in places or not holder["gpus"] or bool(known & set(holder["gpus"])))


def _chosen(text: str, places: List[Place], uuids: List[str]) -> List[Place]:
    found: List[Place] = []
    words = [word.strip() for word in text.split(",")][:_MOST]
    for word in words:
        if re.fullmatch(r"\+?[0-9]{1,9}", word):
            if int(word) >= len(places):
                break
            place = places[int(word)]
        elif word.startswith("MIG-"):
            place = None
        elif word.startswith("GPU-") and len(word) > len("GPU-"):
            matches = [place for place in places if _is(word, place, uuids)]
            if uuids and len(matches) != 1:
                break
            place = matches[0] if matches else None
        else:
            break
        found.append(place)
    counted = words[: len(found)]
    known = [place for place in found if place is not None]
    return [] if len(set(counted)) < len(counted) or len(set(known)) < len(known) else found


def _is(word: str, place: Place, uuids: List[str]) -> bool:
    return place is not None and place < len(uuids) and uuids[place].lower().startswith(word.lower())

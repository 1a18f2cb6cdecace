# SPDX-License-Identifier: Apache-2.0
"""The result of a run that printed none: from the verdict that the cluster keeps, or from its objects. Private."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, wire
from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem, problem
from ansible_collections.madctl.multinode.plugins.module_utils._common.schema import (
    fields,
    maybe,
    second,
    text,
    truth,
    whole,
)
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import state

Object = Dict[str, Any]
Result = Dict[str, Any]
_LONG, _RANKS = 1 << 12, 1 << 17
_first = fields(
    {"message": text(_LONG)},
    {
        "host": maybe(text()),
        "rank": maybe(whole(0, _RANKS)),
        "signal": maybe(whole(0, 128)),
        "remedy": maybe(text(_LONG)),
        "error": maybe(text(_LONG)),
    },
)
_VERDICT = fields(
    {"exit_code": whole(0, 255)},
    {
        "by_scheduler": truth,
        "began": maybe(second),
        "ended": maybe(second),
        "joined": maybe(whole(0, _RANKS)),
        "restarts": whole(0, 1 << 16),
        "code": text(64),
        "first": _first,
    },
)


def verdict(pods: List[Object]) -> Optional[Dict[str, Any]]:
    """
    Return the verdict that the first pod left as its last message; None if there is no readable one.

    A process of the job can write it, too: a success is trusted only if the pod also ended with success.
    """
    for pod in pods:
        own = state.container(pod)
        if state.index(pod) == 0 and own.state == "terminated":
            found = wire.parse_or_none(own.message)
            if found is not None and _VERDICT(found) and _is_sound(found, own.exit_code):
                return found
    return None


def _is_sound(found: Mapping[str, Any], exit_code: Optional[int]) -> bool:
    has_failed = "code" in found
    return has_failed == ("first" in found) == bool(found["exit_code"]) and (has_failed or exit_code == 0)


def problem_of(found: Mapping[str, Any]) -> Optional[Problem]:
    """Return the problem in a verdict; None for a run that succeeded."""
    if "code" not in found:
        return None
    first = found["first"]
    entry = problem(found["code"], first.get("host"), first["message"], first.get("remedy"))
    more: Any = {name: first[name] for name in ("rank", "signal", "error") if first.get(name) is not None}
    entry.update(more)
    return entry


def failed(found: Problem) -> Result:
    """Return the result of a run of which only this problem is known."""
    return {"detached": False, "restarts": [], "problems": [found], "exit_code": int(codes.exit_code([found]))}


def judged(result: Mapping[str, Any], found: Problem) -> Result:
    """Return a result with a different reason."""
    return {**result, **failed(found), "restarts": result.get("restarts") or []}


def explained(result: Mapping[str, Any], said: Mapping[str, str]) -> Result:
    """
    Return a result that adds, for each pod that did not start, what the cluster reported about it.

    Args:
        said: Why pods waited, by the run's names for them.
    """
    problems = [
        {**entry, "message": "%s: %s" % (entry["message"], said[entry["host"]].rstrip("."))}
        if entry["code"] == "NODE_NOT_READY" and entry.get("host") in said
        else entry
        for entry in result.get("problems") or ()
    ]
    return {**result, "problems": problems}


def reason(job: Optional[Object], pods: List[Object]) -> Optional[Problem]:
    """Return why the cluster ended a run; None if it gives no reason that the run does not know."""
    found = state.ending(job, pods)
    return None if found["code"] == "SUPERVISOR_LOST" else found


def of_cluster(job: Optional[Object], pods: List[Object]) -> Result:
    """Return the result of a run that is over and printed none."""
    found = verdict(pods)
    if found is None:
        return failed(state.ending(job, pods))
    entry = problem_of(found)
    if entry is None:
        return {"detached": False, "restarts": [], "problems": [], "exit_code": 0, "ended": found.get("ended")}
    cause = reason(job, pods) if found.get("by_scheduler") else None
    return {**failed(cause or entry), "ended": found.get("ended")}

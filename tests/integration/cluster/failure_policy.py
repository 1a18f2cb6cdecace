# SPDX-License-Identifier: Apache-2.0
"""Which rule of a podFailurePolicy a failed pod meets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Object = dict[str, Any]


def message(rules: Iterable[Object], pod: Object) -> str | None:
    """Return the controller's sentence if a failed pod fails its Job by the first rule that it meets."""
    meta = pod["metadata"]
    for index, rule in enumerate(rules):
        where = f"matching {rule['action']} rule at index {index}"
        container = _by_exit_code(pod, rule["onExitCodes"]) if rule.get("onExitCodes") else None
        condition = _by_condition(pod, rule.get("onPodConditions") or ())
        if container is None and condition is None:
            continue
        if rule["action"] != "FailJob":
            return None
        if container is not None:
            name, code = container
            return f"Container {name} for pod {meta['namespace']}/{meta['name']} failed with exit code {code} {where}"
        return f"Pod {meta['namespace']}/{meta['name']} has condition {condition} {where}"
    return None


def _by_exit_code(pod: Object, wanted: Object) -> tuple[str, int] | None:
    for one in pod["status"].get("containerStatuses") or ():
        code = one.get("state", {}).get("terminated", {}).get("exitCode", 0)
        is_meant = code and wanted.get("containerName") in (None, one["name"])
        if is_meant and (code in wanted["values"]) == (wanted["operator"] == "In"):
            return one["name"], code
    return None


def _by_condition(pod: Object, wanted: Iterable[Object]) -> str | None:
    have = {(one["type"], one["status"]) for one in pod["status"].get("conditions") or ()}
    return next((one["type"] for one in wanted if (one["type"], one.get("status", "True")) in have), None)

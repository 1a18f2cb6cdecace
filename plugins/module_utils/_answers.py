# SPDX-License-Identifier: Apache-2.0
"""
Believe what a node answers only as far as it can be meant, so that one of them spoils the answers of no other.

An answer that is none of those that our programs give becomes one that says so. Pure; private to the collection.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._attic import described

Answer = Dict[str, Any]
_STRANGE = "its answer cannot be meant"


def believed(function: str, answer: Any) -> Answer:
    """Give an answer of a function back; one that is not what it returns, or a reason, as a reason."""
    if not isinstance(answer, dict):
        return {"failed": True, "msg": _STRANGE}
    mark, is_sound = _CHECKS[function]
    try:
        if mark in answer and is_sound(answer):
            return answer
    except (KeyError, TypeError, AttributeError, ValueError):
        pass
    return {"failed": True, "msg": _STRANGE if mark in answer else str(answer.get("msg") or _STRANGE)}


def _is_standing(answer: Answer) -> bool:
    counts = [answer["processes"], answer["joined"]]
    texts = [answer["container"], answer["storage"]]
    record = answer["exit"]
    return (
        isinstance(answer["state"], str)
        and all(map(_is_count, counts))
        and all(text is None or isinstance(text, str) for text in texts)
        and (record is None or _is_ending(record) and _is_code(record["signal"]))
    )


def _is_ending(record: Any) -> bool:
    return isinstance(record["outcome"], str) and isinstance(record["stopped"], bool) and _is_code(record["exit_code"])


def _is_survey(answer: Answer) -> bool:
    return all(
        all(isinstance(run[key], str) for key in ("run_id", "run_dir", "state"))
        and (run["exit"] is None or _is_ending(run["exit"]))
        and (run["described"] is None or described(run["described"], run["run_id"]) is not None)
        for run in answer["runs"]
    )


def _is_end(answer: Answer) -> bool:
    return _are_texts(answer["left"]) and isinstance(answer["changed"], bool) and isinstance(answer["known"], bool)


def _are_alive(answer: Answer) -> bool:
    return _are_texts(answer["alive"])


def _is_cleared(answer: Answer) -> bool:
    return (
        all(isinstance(run["run_id"], str) and _is_count(run["bytes"]) for run in answer["removed"])
        and all(isinstance(one["name"], str) and _is_count(one["bytes"]) for one in answer["programs"])
        and _are_texts(answer["held"])
        and all(isinstance(one[key], str) for one in answer["stuck"] for key in ("path", "reason"))
    )


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_code(value: Any) -> bool:
    return value is None or type(value) is int


def _are_texts(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)


_CHECKS: Dict[str, Tuple[str, Callable[[Answer], bool]]] = {
    "look": ("state", _is_standing),
    "survey": ("runs", _is_survey),
    "end": ("left", _is_end),
    "alive": ("alive", _are_alive),
    "clear": ("removed", _is_cleared),
}

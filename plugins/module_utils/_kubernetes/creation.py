# SPDX-License-Identifier: Apache-2.0
"""Interpret what kubernetes.core reports about objects that it was to create. Pure; private to the collection."""

from __future__ import annotations

import ast
import contextlib
import re
from typing import Any, Mapping, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common import wire
from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem, problem

# It formats the server's answer as Python formats bytes.
_ANSWER = re.compile(r"(b(['\"])\{.*\}\2|\{.*\})", re.DOTALL)
_SILENT = re.compile(r"Max retries exceeded|Connection (?:refused|reset|aborted)|timed out|Remote end closed", re.I)
_MESSAGE = 600  # characters


def refusal(said: str) -> Problem:
    """
    Return why objects were not created.

    Args:
        said: The message of the module.
    """
    answer = _answer(said)
    if answer is not None:
        code, message = answer.get("code"), _line(str(answer.get("message") or said))
        is_late = type(code) is int and (code >= 500 or code == 429)
        remedy = "ask for the rights that docs/how_to/kubernetes.md lists" if code == 403 else None
        return problem(
            "SCHEDULER_UNREACHABLE" if is_late else "SCHEDULER_REFUSED", None, "Kubernetes: %s" % message, remedy
        )
    if _SILENT.search(said):
        return problem("SCHEDULER_UNREACHABLE", None, "the Kubernetes API server cannot be reached: %s" % _line(said))
    return problem("SCHEDULER_REFUSED", None, "kubernetes.core: %s" % _line(said))


def is_ours(said: str) -> bool:
    """Return whether this attempt created the existing objects of the run; otherwise another one is creating it."""
    return "Failed to patch" not in said


def _line(text: str) -> str:
    return " ".join(text.split())[:_MESSAGE]


def _answer(said: str) -> Optional[Mapping[str, Any]]:
    """Return the server's Status from a message; None if it has none."""
    found = _ANSWER.search(said)
    if found is None:
        return None
    text: Any = found[0]
    if text.startswith("b"):
        with contextlib.suppress(ValueError, SyntaxError):
            text = ast.literal_eval(text)
    status = wire.parse_or_none(text if isinstance(text, bytes) else text.encode())
    return status if status is not None and status.get("kind") == "Status" else None

# SPDX-License-Identifier: Apache-2.0
"""
Be the child that a function is called in: its arguments come from standard input, its news and answer go to output.

Private to the collection.
"""

from __future__ import annotations

import importlib
import json
import os
from typing import Any, Dict, List

from ansible_collections.madctl.multinode.plugins.module_utils._node import own_sources

_ERROR_CHARACTERS = 2000


def call(function: Any, speaks: bool, before: bytes = b"") -> Any:
    """
    Read arguments from standard input, call a function with them, and write its answer, or why there is none.

    Args:
        before: What of the input was read already.

    Returns:
        The answer.
    """
    more: List[Any] = [lambda news: _write(b"N" + json.dumps(news).encode() + b"\n")] if speaks else []
    source = _Input(before)
    try:
        answer = function(json.loads(source.take(int(source.take(8), 16))), *more)
        data = line_of(answer)
    except Exception as error:  # noqa: BLE001  whatever it is, whoever asked has to hear of it
        answer = failure(error)
        data = line_of(answer)
    _write(data)
    return answer


def function_of(header: Dict[str, Any]) -> Any:
    """Import the function that a header names."""
    module = importlib.import_module("%s.%s" % (own_sources.PACKAGE, header["module"]))
    return getattr(module, header["function"])


def failure(error: Exception) -> Dict[str, Any]:
    """Give the answer of a function that raised."""
    return {"failed": True, "msg": ("%s: %s" % (type(error).__name__, error))[:_ERROR_CHARACTERS]}


def line_of(answer: Any) -> bytes:
    """Write the line that carries an answer."""
    return b"A" + json.dumps(answer).encode() + b"\n"


class _Input:
    """Standard input, of which some may have been read already."""

    def __init__(self, before: bytes) -> None:
        self._before = before

    def take(self, count: int) -> bytes:
        data, self._before = self._before[:count], self._before[count:]
        while len(data) < count:
            piece = os.read(0, count - len(data))
            if not piece:
                raise EOFError("the request ends in the middle")
            data += piece
        return data


def _write(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]

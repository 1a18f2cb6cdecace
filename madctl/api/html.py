# SPDX-License-Identifier: Apache-2.0
"""Tables for notebooks. Everything in them is escaped: names, causes and errors come from nodes and jobs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import plain

_MOST_ROWS = 64


def pairs(rows: Iterable[tuple[str, object]]) -> str:
    """Write a table of names and values, without values that are None or empty."""
    shown = [(name, value) for name, value in rows if value not in (None, "", (), [])]
    cells = "".join(f"<tr><th>{_text(name)}</th><td>{_text(value)}</td></tr>" for name, value in shown)
    return f"<table>{cells}</table>"


def table(names: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Write a table with a heading; of very many rows, only the first."""
    head = "".join(f"<th>{_text(name)}</th>" for name in names)
    body = "".join(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in rows[:_MOST_ROWS])
    more = len(rows) - _MOST_ROWS
    rest = f'<tr><td colspan="{len(names)}">… {more} more</td></tr>' if more > 0 else ""
    return f"<table><tr>{head}</tr>{body}{rest}</table>"


def _text(value: object) -> str:
    return escape(plain(value))

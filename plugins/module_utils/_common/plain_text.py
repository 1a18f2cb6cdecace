# SPDX-License-Identifier: Apache-2.0
"""Make a text harmless that a node, a file or a person wrote, before it is printed. Pure; private to the collection."""

from __future__ import annotations


def plain(text: object, kept: str = "") -> str:
    """
    Write a text on one line, with nothing in it that moves a cursor, hides what stands there or begins a line.

    Control characters, line separators, marks that change the direction of writing and lone surrogates are shown as
    Python writes them. All that can be seen stays.

    Args:
        kept: Characters that stay all the same; in a line of a job a tab does.
    """
    shown = str(text)
    if shown.isprintable():
        return shown
    return "".join(c if c.isprintable() or c in kept else c.encode("unicode_escape").decode() for c in shown)


def lines(text: object) -> str:
    """Make a text of several lines harmless that somebody else put together, as far as that can be done then."""
    return "\n".join(plain(line, "\t") for line in str(text).split("\n"))

# SPDX-License-Identifier: Apache-2.0
"""Make a text from a node, a file or a user safe to print. Pure; private to the collection."""

from __future__ import annotations


def plain(text: object, kept: str = "") -> str:
    """
    Return a text as one line, without anything that moves the cursor, hides other text or begins a line.

    Control characters, line separators, marks that change the direction of writing and lone surrogates become Python's
    escapes. Everything visible stays.

    Args:
        kept: Characters that stay in any case, such as a tab in a line of a job.
    """
    shown = str(text)
    if shown.isprintable():
        return shown
    return "".join(c if c.isprintable() or c in kept else c.encode("unicode_escape").decode() for c in shown)


def lines(text: object) -> str:
    """Return a text of several lines in a form that is safe to print."""
    return "\n".join(plain(line, "\t") for line in str(text).split("\n"))

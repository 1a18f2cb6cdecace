# SPDX-License-Identifier: Apache-2.0
"""Make text from a node, a file or a user safe to print. Pure; private to the collection."""

from __future__ import annotations

import errno
import os
from typing import Optional


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
    """Return a multi-line text in a form that is safe to print."""
    return "\n".join(plain(line, "\t") for line in str(text).split("\n"))


def reason(error: BaseException, is_named: bool = False) -> str:
    """
    Return why something failed, worded to continue a sentence: without the number of an error.

    Args:
        is_named: Whether to begin with the file that a system error is about.
    """
    place = getattr(error, "filename", None) if is_named else None
    return ("%s: " % place if place else "") + clause(getattr(error, "strerror", None) or str(error))


def of_errno(name: str) -> str:
    """Return the meaning of an errno name, worded to continue a sentence; any other text unchanged."""
    number = getattr(errno, name, None) if name in errno.errorcode.values() else None
    return clause(os.strerror(number)) if number else name


def clause(text: str) -> str:
    """Begin a text in lower case, unless its first word is one in capitals."""
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def count(number: int, noun: str, many: Optional[str] = None) -> str:
    """Format a number of things: ``1 node``, ``2 nodes``."""
    return "%s %s" % (number, noun if number == 1 else many or noun + "s")

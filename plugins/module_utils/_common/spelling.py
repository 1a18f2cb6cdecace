# SPDX-License-Identifier: Apache-2.0
"""Ask about misspelled words. Pure; private to the collection."""

from __future__ import annotations

from typing import Iterable, Optional


def meant(word: str, known: Iterable[str], form: str = "%s") -> Optional[str]:
    """Ask whether a word is one of the known ones, misspelled; None where none is close."""
    import difflib

    close = difflib.get_close_matches(word, sorted(known), 1)
    return "did you mean %s?" % (form % close[0]) if close else None

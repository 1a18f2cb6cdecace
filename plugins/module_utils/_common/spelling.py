# SPDX-License-Identifier: Apache-2.0
"""Suggest corrections of misspelled words. Pure; private to the collection."""

from __future__ import annotations

from typing import Iterable, Optional


def meant(word: str, known: Iterable[str], form: str = "%s") -> Optional[str]:
    """Return a question with the known word that a misspelled one is close to; None if there is none."""
    import difflib

    close = difflib.get_close_matches(word, sorted(known), 1)
    return "did you mean %s?" % (form % close[0]) if close else None

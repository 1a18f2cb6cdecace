# SPDX-License-Identifier: Apache-2.0
"""What a screen can show: how wide it is, and whether in colours. Pure; streams ask, all others are told."""

from __future__ import annotations

from collections.abc import Mapping

from ansible_collections.madctl.multinode.plugins.module_utils._show import columns

_MOST = 10_000


def width(environment: Mapping[str, str], of_terminal: int | None) -> int | None:
    """
    Return how many columns there are; None where lines can be of any length.

    Args:
        of_terminal: What the terminal says, 0 if it does not know; None if there is none.
    """
    told = environment.get("COLUMNS", "")
    if told.isascii() and told.isdigit() and len(told) < 6 and 0 < int(told) <= _MOST:
        return int(told)
    return of_terminal or None


def has_colours(environment: Mapping[str, str], is_terminal: bool) -> bool:
    """Return whether to use colours: on a terminal that has them, unless NO_COLOR says not to."""
    return is_terminal and not environment.get("NO_COLOR") and environment.get("TERM", "dumb") != "dumb"


def painted(text: str, colours: Mapping[str, str]) -> str:
    """Colour one word of a text: the one that comes first."""
    found = [(text.index(word), word) for word in colours if word in text]
    word = min(found)[1] if found else ""
    return text.replace(word, columns.painted(word, colours[word]), 1) if word else text

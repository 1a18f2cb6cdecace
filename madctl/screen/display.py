# SPDX-License-Identifier: Apache-2.0
"""What a screen can show: its width, and whether it has colours. Pure: streams pass in what they know."""

from __future__ import annotations

from collections.abc import Mapping

from ansible_collections.madctl.multinode.plugins.module_utils._show import columns

_MOST = 10_000


def width(environment: Mapping[str, str], of_terminal: int | None) -> int | None:
    """
    Return the number of columns; None if lines can have any length.

    Args:
        of_terminal: The width that the terminal reports, 0 if it does not know; None without a terminal.
    """
    told = environment.get("COLUMNS", "")
    if told.isascii() and told.isdigit() and len(told) < 6 and 0 < int(told) <= _MOST:
        return int(told)
    return of_terminal or None


def has_colours(environment: Mapping[str, str], is_terminal: bool) -> bool:
    """Return whether to use colours: on a terminal that has them, unless NO_COLOR is set."""
    return is_terminal and not environment.get("NO_COLOR") and environment.get("TERM", "dumb") != "dumb"


def painted(text: str, colours: Mapping[str, str]) -> str:
    """Colour the first of the given words that appears in a text."""
    found = [(text.index(word), word) for word in colours if word in text]
    word = min(found)[1] if found else ""
    return text.replace(word, columns.painted(word, colours[word]), 1) if word else text

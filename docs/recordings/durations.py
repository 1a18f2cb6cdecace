# SPDX-License-Identifier: Apache-2.0
"""Durations in the sessions on pages, updated from the test that types these sessions."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

_DURATION = re.compile(r"(?<![\w.])(\d+(?:\.\d+)? s)\b( *)")


def renewed(shown: Sequence[str], printed: Sequence[str], is_like: Callable[[str, str], bool]) -> list[str]:
    """Return the lines of a page with the durations from the printed lines."""
    result, at = [], 0
    for line in shown:
        # Similar lines were printed in the order in which the page shows them.
        later = (place for place in [*range(at, len(printed)), *range(at)] if is_like(line, printed[place]))
        place = next(later, None) if _DURATION.search(line) else None
        if place is None:
            result.append(line)
        else:
            result.append(_with_durations(line, printed[place]))
            at = place + 1
    return result


def renew(page: Path, first: int, shown: Sequence[str], printed: str, is_like: Callable[[str, str], bool]) -> None:
    """Write the durations of printed lines into a page, which shows these lines from line ``first`` on."""
    lines = page.read_text(encoding="utf-8").splitlines(keepends=True)
    for number, (old, new) in enumerate(zip(shown, renewed(shown, printed.splitlines(), is_like), strict=True), first):
        if old != new:
            lines[number - 1] = lines[number - 1].replace(old, new)
    page.write_text("".join(lines), encoding="utf-8")


def _with_durations(line: str, printed: str) -> str:
    found = [match[1] for match in _DURATION.finditer(printed)]
    if len(found) != len(_DURATION.findall(line)):
        return line
    measured = iter(found)

    def put(match: re.Match[str]) -> str:
        # Keep the next column aligned.
        return next(measured).ljust(len(match[0]) - 2) + "  " if len(match[2]) > 1 else next(measured) + match[2]

    return _DURATION.sub(put, line)

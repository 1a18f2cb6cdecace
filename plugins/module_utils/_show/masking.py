# SPDX-License-Identifier: Apache-2.0
"""
Keep values that a user passed by ``--env NAME`` or ``--env-file`` off the screen.

Such a value is a secret if it is long, or if its name suggests one and it is not very short: the ``INFO``
of ``NCCL_DEBUG=INFO`` must not be masked in every line of a log. Pure; private to the collection.
"""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any, AnyStr, Dict, FrozenSet, Iterable, Iterator, List, Sequence, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common.raw_words import pack, unpack
from ansible_collections.madctl.multinode.plugins.module_utils._show import colours

MARK = "***"
# madengine prints the content of its credential files.
_CREDENTIALS = re.compile(r"(Credentials:\s*)\S.*")
_LONG, _LONG_ENOUGH = 8, 4
_WORDS = {"TOKEN", "SECRET", "PASSWORD", "PASSWD", "KEY", "CREDENTIAL", "AUTH"}
# Programs act on these; none of them can come from the user's environment.
_PLAIN_FIELDS = frozenset({"code", "command", "host", "run_id", "status"})


def values(variables: Iterable[Tuple[str, str]]) -> Tuple[str, ...]:
    """
    Select the values of variables that must not be shown.

    Args:
        variables: Names and values.

    Returns:
        Whole values and, for those with several lines, each line that is long enough.
    """
    found: Dict[str, None] = {}
    for name, value in variables:
        least = _LONG_ENOUGH if named_like_a_secret(name) else _LONG
        # Without surrounding white space: programs strip what they read, and then print it.
        candidates = [text.strip() for text in (value, *value.splitlines())]
        found.update(dict.fromkeys(text for text in candidates if len(text) >= least))
    return tuple(found)


def named_like_a_secret(name: str) -> bool:
    """Return whether a word of a variable's name, as in HF_TOKEN or apiKey, marks it as a secret."""
    words = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).upper().split("_")
    return any(word in _WORDS or word[-1:] == "S" and word[:-1] in _WORDS for word in words)


def without_credentials(text: str) -> str:
    """Remove the values from a line in which madengine shows its credentials."""
    return _CREDENTIALS.sub(r"\1(not shown)", text)


class Mask:
    """Replaces secrets in what is about to be shown; without secrets it changes nothing."""

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        self._texts: List[str] = []
        self.hide(secrets)

    def hide(self, secrets: Sequence[str]) -> None:
        """Replace these, too, from now on."""
        spellings = {spelling for secret in secrets if secret for spelling in _spellings(secret)}
        self._texts = sorted({*self._texts, *spellings}, key=len, reverse=True)
        self._bytes = [text.encode("utf-8", "surrogateescape") for text in self._texts]
        self.longest = max(map(len, self._bytes), default=0)

    def text(self, text: str) -> str:
        """Mask a text."""
        return _replaced(text, self._texts, MARK)

    def line(self, line: bytes) -> bytes:
        """Mask a line as written by the job."""
        return _replaced(line, self._bytes, MARK.encode())

    def unfinished(self, line: bytes) -> bytes:
        """Mask a line that has not ended, and leave out an end that may become a secret."""
        line = self.line(line)
        if not self.longest:
            return line
        line = colours.without(line)  # They could hide a secret.
        for size in range(min(self.longest - 1, len(line)), 0, -1):
            if any(secret.startswith(line[-size:]) for secret in self._bytes):
                return line[:-size]
        return line

    def data(self, value: Any) -> Any:
        """Mask every string in nested data and dataclasses, except the fields that programs act on."""
        return self._data(value, _PLAIN_FIELDS) if self._texts else value

    def cut(self, line: bytes, at: int) -> int:
        """
        Find where a line can be cut in two without cutting a secret, which could then not be found.

        Args:
            at: Where to cut if there is no secret.

        Returns:
            The position: ``at`` or before, or after a secret that begins the line; never 0.
        """
        for first, last in _spans(line[: at + self.longest], self._bytes):
            if first < at < last:
                return first or last
        return at

    def _data(self, value: Any, plain: FrozenSet[str]) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            if set(value) == {"base64"}:
                return self._word(value)
            # In an environment, all names are the user's own.
            return {
                key: entry if key in plain else self._data(entry, frozenset() if key == "env" else plain)
                for key, entry in value.items()
            }
        if isinstance(value, (list, tuple)):
            return type(value)([self._data(entry, plain) for entry in value])
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
            return dataclasses.replace(value, **self._data(fields, plain))
        return value

    def _word(self, word: Dict[str, Any]) -> Any:
        try:
            text = unpack(word)
        except (TypeError, ValueError):
            return {"base64": self._data(word["base64"], frozenset())}
        masked = self.text(text)
        return word if masked == text else pack(masked)


def _spellings(secret: str) -> Iterator[str]:
    """Yield a secret as it is, and as programs print it that show their settings as JSON or Python."""
    yield secret
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield repr(secret)[1:-1]


def _spans(text: AnyStr, secrets: Sequence[AnyStr]) -> List[Tuple[int, int]]:
    """Find the positions of secrets; overlapping ones are merged, or the end of one would remain."""
    found: List[Tuple[int, int]] = []
    for secret in secrets:
        start = text.find(secret)
        while start >= 0:
            found.append((start, start + len(secret)))
            start = text.find(secret, start + 1)
    merged: List[Tuple[int, int]] = []
    for first, last in sorted(found):
        if merged and first < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged


def _replaced(text: AnyStr, secrets: Sequence[AnyStr], mark: AnyStr) -> AnyStr:
    if not secrets:
        return text
    # From the last to the first, so that earlier positions stay valid.
    for first, last in reversed(_spans(text, secrets)):
        text = text[:first] + mark + text[last:]
    return text

# SPDX-License-Identifier: Apache-2.0
"""
Carry words that are not UTF-8 through Ansible, which cannot represent them.

Such a word is sent as ``{"base64": …}`` and becomes bytes again where it is used; all others are sent unchanged. Pure;
private to the collection.
"""

from __future__ import annotations

import base64
import os
import shlex
from typing import Any, Dict, Sequence, Union

_ESCAPES = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
Word = Union[str, Dict[str, str]]


def pack(text: str) -> Word:
    """Return a word in a form that can be carried; undecodable bytes are surrogates, as in ``sys.argv``."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return {"base64": base64.b64encode(os.fsencode(text)).decode()}
    return text


def unpack(word: Any) -> str:
    """Return the text of a carried word, as the operating system expects it."""
    if isinstance(word, dict):
        return os.fsdecode(base64.b64decode(word["base64"]))
    return str(word)


def is_packed(word: Any) -> bool:
    """Return whether a value can be unpacked to bytes; the value may be anything."""
    try:
        return isinstance(word, dict) and unpack(word) != ""
    except (KeyError, TypeError, ValueError):
        return False


def quoted(text: str) -> str:
    """Quote a word for a shell; characters that cannot be printed become the shell's own escapes."""
    if text.isprintable():
        return shlex.quote(text)
    return "$'%s'" % "".join(map(_escaped, text))


def joined(words: Sequence[Any]) -> str:
    """Return carried words as a line for a shell."""
    return " ".join(quoted(unpack(word)) for word in words)


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    if "\udc80" <= character <= "\udcff":  # a byte that is not UTF-8
        return "\\x%02x" % (ord(character) - 0xDC00)
    return "\\u%04x" % ord(character) if ord(character) <= 0xFFFF else "\\U%08x" % ord(character)

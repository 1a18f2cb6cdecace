# SPDX-License-Identifier: Apache-2.0
"""
Carry words that are not UTF-8 through Ansible, which has no text for them.

Such a word travels as ``{"base64": …}`` and becomes bytes again where it is used; all others travel
as they are. Pure; private to the collection.
"""

from __future__ import annotations

import base64
import os
import shlex
from typing import Any, Dict, List, Union

Word = Union[str, Dict[str, str]]


def pack(text: str) -> Word:
    """Make a word safe to carry; undecodable bytes are expected as surrogates, as in ``sys.argv``."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return {"base64": base64.b64encode(os.fsencode(text)).decode()}
    return text


def split(words: Any) -> List[Any]:
    """Take the user's words as a list, or as one text that is quoted as for a shell."""
    return shlex.split(words) if isinstance(words, str) else list(words or [])


def unpack(word: Any) -> str:
    """Turn a carried word back into what the operating system takes."""
    if isinstance(word, dict):
        return os.fsdecode(base64.b64decode(word["base64"]))
    return str(word)

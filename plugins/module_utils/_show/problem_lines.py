# SPDX-License-Identifier: Apache-2.0
"""Format problems as lines, one for all hosts with the same problem. Pure; private to the collection."""

from __future__ import annotations

import re
from typing import Any, Dict, Iterator, List, Mapping, Sequence, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes
from ansible_collections.madctl.multinode.plugins.module_utils._show.names import fold

_NUMBER = re.compile(r"\d+")
_MANY = 3  # more different texts are too many to read for one cause
_LONGEST = 40


def lines(problems: Sequence[Mapping[str, Any]]) -> List[str]:
    """Format problems in order of appearance; hosts that share a line replace the word HOST in it."""
    alike: Dict[Tuple[str, str, str], List[Mapping[str, Any]]] = {}
    for entry in problems:
        alike.setdefault((entry["code"], *_texts(entry)), []).append(entry)
    similar: Dict[Tuple[str, str, str], List[List[Mapping[str, Any]]]] = {}
    for (code, message, remedy), same in alike.items():
        similar.setdefault((code, _NUMBER.sub("0", message), _NUMBER.sub("0", remedy)), []).append(same)
    return [codes.line(entry) for kinds in similar.values() for entry in _folded(kinds)]


def _folded(kinds: List[List[Mapping[str, Any]]]) -> Iterator[Mapping[str, Any]]:
    """Yield one problem for each kind; one for all if many kinds differ only in numbers, such as those of ports."""
    groups = [[entry for same in kinds for entry in same]] if len(kinds) >= _MANY else kinds
    for entries in groups:
        is_one = len({entry["host"] for entry in entries}) == 1
        texts = [(entry["message"], entry["remedy"] or "") if is_one else _texts(entry) for entry in entries]
        message, remedy = map(_common, zip(*texts))
        yield {"code": entries[0]["code"], "host": hosts(entries), "message": message, "remedy": remedy}


def _common(texts: Sequence[str]) -> str:
    """Merge texts that differ only in numbers, each differing word with all its forms."""
    words = [list(dict.fromkeys(each)) for each in zip(*(text.split(" ") for text in texts))]
    return " ".join(each[0] if len(each) == 1 else _forms(each) for each in words)


def _forms(words: List[str]) -> str:
    shown = fold(words)
    return shown if len(shown) <= _LONGEST else "%s … %s" % (words[0], words[-1])


def _texts(entry: Mapping[str, Any]) -> Tuple[str, str]:
    message, remedy = (_without_host(entry[key] or "", entry["host"]) for key in ("message", "remedy"))
    return message, remedy


def hosts(problems: Sequence[Mapping[str, Any]]) -> str:
    """Format the hosts that have these problems."""
    return fold([entry["host"] for entry in problems if entry["host"]])


def _without_host(text: str, host: Any) -> str:
    return re.sub(r"(?<![\w.-])%s(?![\w-])" % re.escape(host), "HOST", text) if host else text

# SPDX-License-Identifier: Apache-2.0
"""
Read the cards of the models to run from a checkout, without any judgement. Private to the collection.

Models that a ``get_models_json.py`` generates are unknown here, because it would have to be executed.
"""

from __future__ import annotations

import glob
import json
import os
import stat
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import run_directory, schema

_RUNNER = run_directory.RUNNER.encode()
_CARDS_BYTES = 16 << 20
# Limits of the search through a model's scripts: weights may be beside them.
_FILE_BYTES, _FILES = 1 << 20, 2000
_MODELS = 200


def look(checkout: Optional[str], tags: Sequence[str]) -> List[Dict[str, Any]]:
    """
    Return the models that tags select.

    Returns:
        ``name``; ``timeout`` of the card, None without one; ``scripts``, as written on the card; ``uses_runner``,
        whether any file beside the script mentions the runner, None if unknown.
    """
    base = checkout if checkout and os.path.isdir(checkout) else os.path.expanduser("~")
    wanted = {part for tag in tags for word in tag.split(",") for part in (word, word.partition(":")[0].strip())}
    found = []
    for tags_of_card, card in _cards(base):
        if wanted & {card["name"], "all", *tags_of_card}:
            uses = uses_runner(os.path.join(base, card["scripts"])) if card["scripts"] else None
            found.append({**card, "uses_runner": uses})
    return found[:_MODELS]


def _cards(base: str) -> Iterator[Tuple[List[str], Dict[str, Any]]]:
    """Yield every card with its tags, named as madengine names it; skip invalid names of models and files."""
    inner_ones = sorted(glob.glob(os.path.join(base, "scripts", "*", "models.json")))
    for path in [os.path.join(base, "models.json"), *inner_ones]:
        inner = os.path.relpath(os.path.dirname(path), base)
        short = os.path.basename(inner) + "/" if inner != "." else ""
        for card in filter(lambda card: isinstance(card, dict), _read(path)):
            tags = card.get("tags") or []
            tags = [str(tag) for tag in tags] if isinstance(tags, list) else str(tags).split(",")
            timeout, scripts = card.get("timeout"), card.get("scripts")
            name = short + str(card.get("name", ""))
            if len(name) > 256 or not _is_path(name):
                continue
            yield (
                [*tags, *(short + tag for tag in tags)],
                {
                    "name": name,
                    "scripts": os.path.normpath(os.path.join(inner, scripts)) if _is_path(scripts) else None,
                    "timeout": timeout if timeout and _is_seconds(timeout) else None,
                },
            )


_is_seconds, _is_text = schema.number(), schema.text(2000)


def _is_path(value: Any) -> bool:
    return _is_text(value) and "\0" not in value


def _read(path: str) -> List[Any]:
    try:
        with open(path, "rb") as stream:
            found = json.loads(stream.read(_CARDS_BYTES))
    except (OSError, ValueError, RecursionError):
        return []  # madengine's own message about it is better.
    return found if isinstance(found, list) else []


def uses_runner(scripts: str) -> Optional[bool]:
    """
    Return whether a script, or what madengine copies with it, mentions the runner.

    None if there is nothing to read, or too much.
    """
    directory = os.path.dirname(scripts) if scripts.endswith(".sh") else scripts
    seen, complete = 0, True
    for place, _, names in os.walk(directory):
        for name in names:
            seen += 1
            if seen > _FILES:
                return None
            found = _mentions(os.path.join(place, name))
            if found:
                return True
            complete = complete and found is not None
    return False if seen and complete else None


def _mentions(path: str) -> Optional[bool]:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return False
        with open(path, "rb") as stream:
            text = stream.read(_FILE_BYTES + 1)
    except OSError:
        return None
    return True if _RUNNER in text else None if len(text) > _FILE_BYTES and b"\0" not in text else False

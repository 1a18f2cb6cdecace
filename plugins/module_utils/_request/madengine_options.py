# SPDX-License-Identifier: Apache-2.0
"""
Read what a user gives madengine: a context, tags, and words that may undo the plan.

Pure; private to the collection.
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._request import literal

# As much of an option as version 1 needs to tell it from its others.
_SHORTEST = {
    "--tags": len("--ta"),
    "--timeout": len("--ti"),
    "--output": len("--o"),
    "--keep-alive": len("--keep-a"),
    "--skip-model-run": len("--s"),
    "--force-mirror-local": len("--f"),
    "--additional-context-file": len("--additional-context-"),
}
_RESERVED = {
    "--tags": "give it to madctl: --tags",
    "--additional-context": "give it to madctl: --additional-context",
    "--additional-context-file": "give it to madctl: --additional-context",
    "--force-mirror-local": "give it to madctl: --force-mirror-local",
    "--keep-alive": "leave it out: no container of a run is kept",
}
_SHORT = {"-t": "--tags", "-c": "--additional-context", "-f": "--additional-context-file"}


def parse(text: str) -> Dict[str, Any]:
    """
    Read an additional context, a Python literal as madengine wants it, or JSON.

    Raises:
        ValueError: If it is neither, or no mapping.
    """
    return checked(literal.mapping(text))


def checked(found: Dict[str, Any]) -> Dict[str, Any]:
    """
    Give a context back whose parts that madctl adds to are mappings.

    Raises:
        ValueError: If one of them is not.
    """
    for key in ("multi_node_args", "docker_env_vars"):
        if not isinstance(found.get(key) or {}, dict):
            raise ValueError("its %s is no mapping" % key)
    return found


def option(words: Sequence[Any], name: str, short: str = "") -> Optional[str]:
    """Find the value that madengine takes for one of its options; the last one counts."""
    found = None
    for at, word in enumerate(map(str, words)):
        head, equals, value = word.partition("=")
        if _is_short_for(head, name) or (short and word == short):
            found = value if equals else str(words[at + 1]) if at + 1 < len(words) else ""
        elif short and word.startswith(short) and not word.startswith("--"):
            found = word[len(short) :].lstrip("=")
    return found


def _is_short_for(word: str, name: str) -> bool:
    """Tell whether a word means an option, which version 1 also takes by its beginning."""
    return len(word) >= _SHORTEST.get(name, len(name)) and name.startswith(word)


def table(words: Sequence[Any]) -> str:
    """Name the file that madengine writes its table into."""
    return option(words, "--output", "-o") or "perf.csv"


def skips(words: Sequence[Any], merged: Dict[str, Any]) -> bool:
    """Tell whether it was asked for that no table is written."""
    asked = any(_is_short_for(str(word), "--skip-model-run") for word in words)
    return asked or bool(merged.get("skip_perf_collection"))


def refused(tags: Sequence[Any], words: Sequence[Any]) -> List[Tuple[str, str]]:
    """Give what is wrong with tags and with words for madengine, and what to do about it; no node is needed for it."""
    found = [
        ("the tag %r is not a model's" % str(tag), "a tag is a word that does not begin with -")
        for tag in tags
        if not str(tag).strip() or str(tag).startswith("-") or any(ord(character) < 32 for character in str(tag))
    ]
    for word in map(str, words):
        head = word.partition("=")[0]
        name = next((name for name in _RESERVED if _is_short_for(head, name)), _SHORT.get(word[:2]))
        if name:
            found.append(("%s among the words for madengine would undo the plan" % name, _RESERVED[name]))
    path = table(words)
    if path.startswith("/") or ".." in path.split("/"):
        message = "every node writes a table of its own, so --output %r cannot lie elsewhere" % path
        found.append((message, "name a file without a directory above it"))
    return found

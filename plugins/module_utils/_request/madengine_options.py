# SPDX-License-Identifier: Apache-2.0
"""
Parse what a user passes to madengine: a context, tags, and arguments that may override the plan.

Pure; private to the collection.
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._request import literal

# The shortest form of an option that version 1 can distinguish from its others.
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
    Parse an additional context, which is a Python literal, as madengine accepts it, or JSON.

    Raises:
        ValueError: If it is neither, or not a mapping.
    """
    return checked(literal.mapping(text))


def checked(found: Dict[str, Any]) -> Dict[str, Any]:
    """
    Return a context in which the parts that madctl extends are mappings.

    Raises:
        ValueError: If one of them is not.
    """
    for key in ("multi_node_args", "docker_env_vars"):
        if not isinstance(found.get(key) or {}, dict):
            raise ValueError("its %s is not a mapping" % key)
    return found


def option(words: Sequence[Any], name: str, short: str = "") -> Optional[str]:
    """Return the value of a madengine option; the last one counts."""
    found = None
    for at, word in enumerate(map(str, words)):
        head, equals, value = word.partition("=")
        if _is_short_for(head, name) or (short and word == short):
            found = value if equals else str(words[at + 1]) if at + 1 < len(words) else ""
        elif short and word.startswith(short) and not word.startswith("--"):
            found = word[len(short) :].lstrip("=")
    return found


def _is_short_for(word: str, name: str) -> bool:
    """Return whether a word means an option, which version 1 also accepts abbreviated."""
    return len(word) >= _SHORTEST.get(name, len(name)) and name.startswith(word)


def table(words: Sequence[Any]) -> str:
    """Return the file that madengine writes its table to."""
    return option(words, "--output", "-o") or "perf.csv"


def skips(words: Sequence[Any], merged: Dict[str, Any]) -> bool:
    """Return whether the user asked for no table."""
    asked = any(_is_short_for(str(word), "--skip-model-run") for word in words)
    return asked or bool(merged.get("skip_perf_collection"))


def refused(tags: Sequence[Any], words: Sequence[Any]) -> List[Tuple[str, str]]:
    """Return the problems of tags and arguments of madengine that are visible without any node, with remedies."""
    found = [
        ("%r is not a tag of a model" % str(tag), "a tag is a word that does not begin with -")
        for tag in tags
        if not str(tag).strip() or str(tag).startswith("-") or any(ord(character) < 32 for character in str(tag))
    ]
    for word in map(str, words):
        head = word.partition("=")[0]
        name = next((name for name in _RESERVED if _is_short_for(head, name)), _SHORT.get(word[:2]))
        if name:
            found.append(("%s in the arguments of madengine would override the plan" % name, _RESERVED[name]))
    path = table(words)
    if path.startswith("/") or ".." in path.split("/"):
        message = "every node writes its own table, so --output cannot be %r" % path
        found.append((message, "use a path below the working directory"))
    return found

# SPDX-License-Identifier: Apache-2.0
"""Ways to nodes as data for a later command, without secrets. Private to the collection."""

from __future__ import annotations

import os
import re
from typing import Any, Dict, List, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common import schema
from ansible_collections.madctl.multinode.plugins.module_utils._ways.local import Local
from ansible_collections.madctl.multinode.plugins.module_utils._ways.ssh import Login, Ssh
from ansible_collections.madctl.multinode.plugins.module_utils._ways.way import Way

_PLACE = re.compile(r'ControlPath="?(/.*)/[^/]+$')
_word = schema.text(1 << 14)
_LOGIN = {
    "words": schema.listed(_word, 1 << 10),
    "target": _word,
    "address": _word,
    "port": schema.maybe(schema.whole(0, 65535)),
    "chosen_patience": schema.truth,
}
_way = schema.fields(
    {"way": schema.one_of("local", "ssh"), "python": _word, "environment": _word}, {"login": schema.fields(_LOGIN)}
)


def dumped(way: Way) -> Optional[Dict[str, Any]]:
    """Return a way as data; None if it has a secret, or is of a kind that cannot be kept."""
    found = {"python": way.python, "environment": way.environment}
    if isinstance(way, Local):
        return {"way": "local", **found}
    if isinstance(way, Ssh) and not way.login.has_secret:
        return {"way": "ssh", **found, "login": {name: getattr(way.login, name) for name in _LOGIN}}
    return None


def is_kept(value: Any) -> bool:
    """Return whether a value is a way as ``dumped`` writes it."""
    if not _way(value) or (value["way"] == "ssh") != ("login" in value):
        return False
    return value["way"] == "local" or bool(value["login"]["words"])


def loaded(host: str, value: Dict[str, Any]) -> Way:
    """Return the way that a value describes, see ``is_kept``."""
    if value["way"] == "local":
        return Local(host, value["python"], value["environment"])
    login = {**value["login"], "words": _without_lost_place(value["login"]["words"])}
    return Ssh(host, value["python"], Login(**login), value["environment"])


def _without_lost_place(words: List[str]) -> List[str]:
    """Keep no connection if the directory for its socket has gone; it may have belonged to one launch."""
    for word in words:
        found = _PLACE.match(word)
        if found and "%" not in found[1] and not os.path.isdir(found[1]):
            return [words[0], "-o", "ControlMaster=no", "-o", "ControlPath=none", *words[1:]]
    return words

# SPDX-License-Identifier: Apache-2.0
"""Problems as lines, one for all hosts that have the same. Pure; private to the collection."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes
from ansible_collections.madctl.multinode.plugins.module_utils._show.names import fold


def lines(problems: Sequence[Mapping[str, Any]]) -> List[str]:
    """Write problems in order of appearance; where hosts share a line, its text says HOST for their names."""
    alike: Dict[Tuple[str, str, str], List[Mapping[str, Any]]] = {}
    for entry in problems:
        texts = (_without_host(entry["message"], entry["host"]), _without_host(entry["remedy"] or "", entry["host"]))
        alike.setdefault((entry["code"], *texts), []).append(entry)
    return [
        codes.line(entries[0])
        if len({entry["host"] for entry in entries}) == 1
        else codes.line({"code": code, "host": hosts(entries), "message": message, "remedy": remedy})
        for (code, message, remedy), entries in alike.items()
    ]


def hosts(problems: Sequence[Mapping[str, Any]]) -> str:
    """Write the hosts that problems are of."""
    return fold([entry["host"] for entry in problems if entry["host"]])


def _without_host(text: str, host: Any) -> str:
    return re.sub(r"(?<![\w.-])%s(?![\w-])" % re.escape(host), "HOST", text) if host else text

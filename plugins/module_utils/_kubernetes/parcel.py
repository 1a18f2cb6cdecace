# SPDX-License-Identifier: Apache-2.0
"""The data that is sent to the pods of a run. Private to the collection."""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem

SCRIPT = "script"


class Code(NamedTuple):
    """
    The code that is sent: what its conductor has to know about it, and its parts, which pods put together.

    ``diff`` and ``warnings`` stay on this machine.
    """

    about: Dict[str, Any]
    diff: bytes
    warnings: List[Problem]
    parts: Tuple[bytes, ...]


class Parcel(NamedTuple):
    """The data that is sent to the pods of a run."""

    run_id: str
    key: bytes
    request: bytes  # JSON
    pod_program: str
    programs: bytes  # a zip
    script: Optional[Tuple[str, bytes]] = None  # its name and its bytes
    code: Optional[Code] = None

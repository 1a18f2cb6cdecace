# SPDX-License-Identifier: Apache-2.0
"""Give the text of the programs that are delivered to nodes. Private to the collection."""

from __future__ import annotations

import importlib.util
from typing import Dict

_PACKAGE = "ansible_collections.madctl.multinode.plugins.module_utils."
PROGRAMS = ("_supervisor", "_rank", "_wire")


def texts() -> Dict[str, str]:
    """Read every program's source, also from inside Ansible's zip archive; nothing is executed."""
    return {name + ".py": _source(_PACKAGE + name) for name in PROGRAMS}


def _source(module: str) -> str:
    spec = importlib.util.find_spec(module)
    return str(spec.loader.get_source(module))  # type: ignore[union-attr]


def _packed() -> None:
    """Never called: these imports are what makes Ansible pack the programs with a module."""
    from ansible_collections.madctl.multinode.plugins.module_utils import _rank, _supervisor, _wire  # noqa: F401

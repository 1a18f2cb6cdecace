# SPDX-License-Identifier: Apache-2.0
"""Give the text of the programs that are delivered to nodes. Private to the collection."""

from __future__ import annotations

import pkgutil
from types import ModuleType


def of(module: ModuleType) -> str:
    """Read the source of an imported module, also from inside Ansible's zip archive."""
    source = module.__loader__.get_source(module.__name__)  # type: ignore[union-attr]
    return str(source)


def text() -> str:
    """Read the supervisor, which is a program: importing it would look for its neighbours."""
    # The import statement is what makes Ansible pack the file; it is never executed.
    if False:  # pylint: disable=using-constant-test
        from ansible_collections.madctl.multinode.plugins.module_utils import _supervisor  # noqa: F401
    data = pkgutil.get_data(__package__ or "", "_supervisor.py")
    return (data or b"").decode()

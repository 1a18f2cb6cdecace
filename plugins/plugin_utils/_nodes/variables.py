# SPDX-License-Identifier: GPL-3.0-or-later
"""Convert Ansible's variables to plain data."""

from __future__ import annotations

from typing import Any


def python_of(variables: Any) -> str:
    """Return the Python that Ansible uses on a node; without a named one there is no search."""
    named = str(variables.get("ansible_python_interpreter") or "")
    if named and not named.startswith("auto"):
        return named
    return str((variables.get("ansible_facts") or {}).get("discovered_interpreter_python") or "/usr/bin/python3")


def plain(value: Any) -> Any:
    """Turn Ansible's lazy and tagged values into JSON data."""
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    return str(value) if isinstance(value, str) else value

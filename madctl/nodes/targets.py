# SPDX-License-Identifier: Apache-2.0
"""The nodes of a request, as every command hands them on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Targets:
    """The nodes of a request: their names in rank order, and the inventory that reaches them."""

    names: tuple[str, ...]
    inventory: dict[str, Any]
    sources: tuple[str, ...] = ()
    become_password_file: str | None = None
    # How Ansible reaches them, where that is known; see ``reach``.
    reach: dict[str, Any] | None = None

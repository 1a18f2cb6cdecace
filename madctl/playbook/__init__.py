# SPDX-License-Identifier: Apache-2.0
"""Playbooks of the collection: run interactively, or to query nodes once."""

from collections.abc import Callable
from typing import Any

TaskListener = Callable[[str, str, dict[str, Any]], None]  # task, host, result
EventListener = Callable[[dict[str, Any], bytes], None]

# SPDX-License-Identifier: Apache-2.0
"""The user's own command, once on every node where the runner would start. Pure; private to the collection."""

from __future__ import annotations

from typing import List

from ansible_collections.madctl.multinode.plugins.module_utils._plan.starter import Launch, Part, Starter


def _write(launch: Launch, parts: List[Part]) -> None:
    for part in parts:
        part.argv = list(launch.case.request.work) if part.argv else []


STARTER = Starter("command", _write)

# SPDX-License-Identifier: Apache-2.0
"""Format what a cleanup deleted on a node, as a line. Pure; private to the collection."""

from __future__ import annotations

from typing import Any, Mapping

from ansible_collections.madctl.multinode.plugins.module_utils._common import run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._show.job_lines import size
from ansible_collections.madctl.multinode.plugins.module_utils._show.names import count


def line(host: str, node: Mapping[str, Any], is_dry: bool) -> str:
    """Format how many runs, programs and trees of code were removed on a node, and their size; empty if none."""
    runs, programs = node["removed"], node["programs"]
    parts = [count(len(runs), "run")] if runs else []
    code = sum(entry["name"].startswith(run_directory.TREES + "/") for entry in programs)
    others = len(programs) - code
    parts += [count(others, "set of programs", "sets of programs")] if others else []
    parts += [count(code, "tree of code", "trees of code")] if code else []
    taken = size(sum(entry["bytes"] for entry in [*runs, *programs]))
    would = "would remove " if is_dry else ""
    return "%s: %s%s, %s" % (host, would, ", ".join(parts), taken) if parts else ""

# SPDX-License-Identifier: Apache-2.0
"""Measure the usage of a run on one node; if the run is over on it, return its last sample. Private."""

from __future__ import annotations

import os
from typing import Any, Dict

from ansible_collections.madctl.multinode.plugins.module_utils._common import events, run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._node import processes, samples
from ansible_collections.madctl.multinode.plugins.module_utils._runs import run_state


def measure(request: Dict[str, Any]) -> Dict[str, Any]:
    """
    Measure once.

    Args:
        request: ``run_id``; ``run_dir``, or None if it is in the default base; ``asks_gpus``.

    Returns:
        ``state``, as ``run_state.look`` names it; ``measured`` while the run lasts, see ``_common.usage``; its
        last sample as ``kept``, if there is one.
    """
    run_dir = run_state.directory(request)
    state = _state(run_dir, request["run_id"])
    measured = samples.measure(run_dir, request["asks_gpus"]) if state == "running" else None
    kept = samples.read(os.path.join(run_dir, run_directory.SAMPLES))
    return {"state": state, "measured": measured, "kept": kept[-1] if kept else None}


def _state(run_dir: str, run_id: str) -> str:
    """Determine the state of the run on this node, without inspecting all processes."""
    if run_state.exit_record(run_dir) is not None:
        return "exited"
    happened = run_state.read_events(run_dir)
    armed = next((event for event in happened if event["event"] == events.ARMED), None)
    if armed is None:
        return "lost" if os.path.isdir(run_dir) else "unknown"
    if type(armed.get("pid")) is not int or processes.supervised(armed["pid"]) != run_id:
        return "lost"
    return "running" if any(event["event"] == events.STARTED for event in happened) else "armed"

# SPDX-License-Identifier: Apache-2.0
"""
Containers that madengine makes: what is there, and which belong to a run. Looks and removes; never judges.

A container of a run carries the run's id in its environment. Also a program of its own, which a supervisor
runs when everything else has ended: ``_containers.py remove RUN_ID``. Private to the collection.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, Dict, List, Optional

RUNTIME = "docker"  # what madengine calls; podman's stand-in goes by the same name
PREFIX = "container_"  # madengine names a container after its image
MARK = "MADCTL_RUN_ID="
GPU_TOOLS = ("rocm-smi", "amd-smi", "nvidia-smi")
_SECONDS = 10.0
_REMOVE_SECONDS = 60.0


def which(name: str) -> Optional[str]:
    """Find a program on the search path."""
    import shutil  # Slow to import, and not needed on nodes without models.

    return shutil.which(name)


def output(argv: List[str], seconds: float = _SECONDS) -> str:
    """
    Run a program and give what it prints.

    Raises:
        OSError: If it cannot be started, fails, or takes too long; with what it said last.
    """
    import subprocess  # Likewise.

    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds)
    except subprocess.TimeoutExpired as error:
        raise OSError("%s does not answer" % argv[0]) from error
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise OSError(said[-1] if said else "exit code %d" % done.returncode)
    return done.stdout.decode("utf-8", "replace")


def look(python: Optional[str]) -> Dict[str, Any]:
    """
    Say what madengine would find on this node.

    Args:
        python: The job's Python; a madengine beside it is preferred.

    Returns:
        ``program``, ``version`` as it prints it (None where it does not), why it is ``broken``, ``runtime`` (its
        path), ``trouble`` with it, ``containers``: ``name``, ``created`` and ``run_id``, and ``gpu_tool``.
    """
    beside = os.path.join(os.path.dirname(python), "madengine") if python else ""
    program = beside if os.access(beside, os.X_OK) else which("madengine")
    found: Dict[str, Any] = {"program": program, "version": None, "broken": None}
    found.update(runtime=which(RUNTIME), trouble=None)
    if program:
        try:
            found["version"] = output([program, "--version"]).strip()[:200]
        except OSError as error:
            # One that starts, and knows no such option, has no number for its reason.
            found["broken"] = error.strerror if error.errno else None
    found["containers"] = []
    if found["runtime"]:
        try:
            found["containers"] = containers()
        except (OSError, ValueError) as error:
            found["trouble"] = str(error)
    found["gpu_tool"] = next(filter(None, map(which, GPU_TOOLS)), None)
    return found


def containers() -> List[Dict[str, Any]]:
    """List all containers that may be madengine's, running or not."""
    names = output([RUNTIME, "ps", "--all", "--format", "{{.Names}}"]).split()
    names = [name for name in names if name.startswith(PREFIX)]
    if not names:
        return []
    return [
        {
            "name": str(entry["Name"]).lstrip("/"),
            "created": str(entry.get("Created", ""))[:19],
            "run_id": next((v[len(MARK) :] for v in entry["Config"]["Env"] or [] if v.startswith(MARK)), None),
        }
        for entry in json.loads(output([RUNTIME, "inspect", *names]))
    ]


def remove(names: List[str]) -> None:
    """Remove containers, running or not."""
    if names:
        output([RUNTIME, "rm", "--force", *names], _REMOVE_SECONDS)


def remove_of(run_id: str) -> List[str]:
    """Remove the containers of a run, and name them."""
    names = [entry["name"] for entry in containers() if entry["run_id"] == run_id] if which(RUNTIME) else []
    remove(names)
    return names


if __name__ == "__main__":
    remove_of(sys.argv[2])

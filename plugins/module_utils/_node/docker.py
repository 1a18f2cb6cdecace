# SPDX-License-Identifier: Apache-2.0
"""
Find madengine, and find and remove its containers; never judge. Private to the collection.

A container of a run has the run's id in its environment.
"""

from __future__ import annotations

import glob
import json
import os
import re
from typing import Any, Dict, List, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common import run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import reason
from ansible_collections.madctl.multinode.plugins.module_utils._node import executables, small_files

RUNTIME = "docker"  # the command that madengine calls; podman's replacement has the same name
GPU_TOOLS = ("rocm-smi", "amd-smi", "nvidia-smi")
_SECONDS = 10.0
_VERSION_SECONDS = 60.0  # it imports a lot before it prints its version, which takes long on a cold file system
_VERSION = re.compile(r"(?<![\d.])\d+\.\d+[\w.+-]*")
_VERSION_CHARACTERS = 40
_SAID_CHARACTERS, _NAME_CHARACTERS = 400, 300
_REMOVE_SECONDS = 60.0


def output(argv: List[str], seconds: float = _SECONDS, **more: Any) -> str:
    """
    Run a program and return what it prints.

    Raises:
        OSError: If it cannot be started, fails (with its last line), or takes too long (TimeoutError).
    """
    import subprocess  # Slow to import, and not needed on nodes without models.

    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, **more)
    except subprocess.TimeoutExpired as error:
        raise TimeoutError("%s does not answer" % argv[0]) from error
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise OSError(said[-1][:_SAID_CHARACTERS] if said else "exit code %d" % done.returncode)
    return str(done.stdout, "utf-8", "replace")


def look(python: Optional[str]) -> Dict[str, Any]:
    """
    Determine what madengine would find on this node.

    Args:
        python: The job's Python; a madengine beside it is preferred.

    Returns:
        ``program``, ``version`` (None if unknown), ``silent``, whether it gave no answer, why it is ``broken``,
        ``runtime`` (its path), ``trouble`` with it, ``containers``: ``name``, ``created`` and ``run_id``, and
        ``gpu_tool``.
    """
    beside = os.path.join(os.path.dirname(python), "madengine") if python else ""
    program = beside if os.access(beside, os.X_OK) else executables.which("madengine")
    found: Dict[str, Any] = {"program": program, "version": None, "silent": False, "broken": None}
    found.update(runtime=executables.which(RUNTIME), trouble=None, containers=[])
    if program:
        try:
            found["version"] = installed(program) or asked(program)
        except TimeoutError:
            found["silent"] = True
        except OSError as error:
            # A program that starts but does not know the option raises an error without a number.
            found["broken"] = reason(error) if error.errno else None
    if found["runtime"]:
        try:
            found["containers"] = [
                {name: value and value[:_NAME_CHARACTERS] for name, value in container.items()}
                for container in containers()
            ]
        except (OSError, ValueError) as error:
            found["trouble"] = str(error)[:_SAID_CHARACTERS]
    found["gpu_tool"] = next(filter(None, map(executables.which, GPU_TOOLS)), None)
    return found


def installed(program: str) -> Optional[str]:
    """Read the version of the distribution that a program belongs to; None if that is unclear."""
    pythons = interpreters(program)
    prefixes = {os.path.dirname(os.path.dirname(os.path.abspath(path))) for path in [program, *pythons]}
    inner = ("*-packages", "python3*/*-packages")
    places = [os.path.join(prefix, lib, part) for prefix in prefixes for lib in ("lib", "lib64") for part in inner]
    paths = [path for place in places for path in glob.glob(os.path.join(place, "madengine-*.dist-info", "METADATA"))]
    found = set(filter(None, map(_version_of, paths)))
    # Metadata proves nothing for a program that cannot start.
    return found.pop() if len(found) == 1 and all(os.path.exists(path) for path in pythons) else None


def interpreters(program: str) -> List[str]:
    """Return the Python that runs a script installed by pip, which writes a long path into the second line."""
    lines = (small_files.text(program, 2000) or "").splitlines()[:2]
    found = [re.match(r"#!\s*(/\S*python\S*)|'''exec' \"?(/[^\"]*python[^\" ]*)", line) for line in lines]
    return [match.group(1) or match.group(2) for match in found if match]


def _version_of(path: str) -> Optional[str]:
    head = (small_files.text(path, 20000) or "").partition("\n\n")[0]
    return spoken(next((line for line in head.splitlines() if line.startswith("Version:")), ""))


def asked(program: str) -> Optional[str]:
    """
    Ask a madengine for its version in a temporary directory, since it writes logs and copies MODEL_DIR.

    Raises:
        OSError: If it cannot be started, or does not answer (TimeoutError).
    """
    import tempfile  # Slow to import, and rarely needed.

    left_out = ("MODEL_DIR", "MAD_SETUP_MODEL_DIR")
    environment = {name: value for name, value in os.environ.items() if name not in left_out}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    with tempfile.TemporaryDirectory(prefix="madctl-") as place:
        return spoken(output([program, "--version"], _VERSION_SECONDS, cwd=place, env=environment))


def spoken(text: str) -> Optional[str]:
    """Return the version in a text, which comes last."""
    found = _VERSION.findall(text)
    return found[-1][:_VERSION_CHARACTERS] if found else None


def containers() -> List[Dict[str, Any]]:
    """Return all containers that may be madengine's, or that version 1 may mistake for its own, running or not."""
    names = output([RUNTIME, "ps", "--all", "--format", "{{.Names}}"]).split()
    names = [name for name in names if run_directory.CONTAINER_PREFIX in name]
    if not names:
        return []
    return [
        {
            "name": str(entry["Name"]).lstrip("/"),
            "created": str(entry.get("Created", ""))[:19],
            "run_id": _run_of(entry["Config"]["Env"] or []),
        }
        for entry in json.loads(output([RUNTIME, "inspect", *names]))
    ]


def _run_of(environment: List[str]) -> Optional[str]:
    mark = run_directory.MARK
    return next((entry[len(mark) :] for entry in environment if entry.startswith(mark)), None)


def remove(names: List[str]) -> None:
    """Remove containers, running or not."""
    if names:
        output([RUNTIME, "rm", "--force", *names], _REMOVE_SECONDS)


def remove_of(run_id: str) -> List[str]:
    """Remove the containers of a run, and return their names."""
    names = [entry["name"] for entry in containers() if entry["run_id"] == run_id] if executables.which(RUNTIME) else []
    remove(names)
    return names

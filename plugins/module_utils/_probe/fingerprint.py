# SPDX-License-Identifier: Apache-2.0
"""
Find differences between nodes that otherwise go unnoticed: versions, limits, space, files.

Versions come from package metadata and torch's version file; torch itself is never imported, which
would cost seconds and memory on every node. Private to the collection.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
from typing import Any, Dict, Optional, Sequence

from ansible_collections.madctl.multinode.plugins.module_utils._common import run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._node import executables, node_lock, small_files

# The distributions whose versions must be the same on all nodes, by the beginnings of their metadata directories.
PACKAGES = ("torch", "numpy", "nvidia_nccl_cu11", "nvidia_nccl_cu12", "nvidia_nccl_cu13", "mpi4py", "madengine")
NCCL_FILES = ("/etc/nccl.conf", "~/.nccl.conf")
_LIMITS = {"memlock": resource.RLIMIT_MEMLOCK, "nofile": resource.RLIMIT_NOFILE}
_CONF_BYTES = 4096
_FAULT_CHARACTERS = 400
PYTHON_SECONDS = 12.0
MPI_CHARACTERS = 400
# Runs in the job's Python, with its own import path. It searches for a module without running any of its packages,
# and runs nothing from the working directory, where files may have the names of modules that it needs.
_REPORT = """
import sys
own = [] if getattr(sys.flags, 'safe_path', 0) else [sys.path.pop(0)]
import importlib.util, json, os, re
sys.path[:0] = own
names, module, directory = %r
def look(name, path):
    for finder in sys.meta_path:
        spec = finder.find_spec(name, path) if hasattr(finder, 'find_spec') else None
        if spec:
            return spec
def is_there(name):
    parts, path = name.split('.'), None
    for count in range(1, len(parts) + 1):
        spec = look('.'.join(parts[:count]), path)
        path = spec and getattr(spec.submodule_search_locations, '_path', spec.submodule_search_locations)
        if not spec or (path is None and count < len(parts)):
            return False
        if path is not None and spec.name not in sys.modules:
            sys.modules[spec.name] = type(sys)(spec.name)  # What is below a directory without code asks for this.
            sys.modules[spec.name].__path__ = list(path)
    return path is None or look(name + '.__main__', list(path)) is not None
found = {}
for entry in sys.path:
    try:
        entries = os.listdir(entry or '.')
    except OSError:
        continue
    for name in entries:
        match = re.match('(.+?)-([^-]+)(-py[0-9.]+)?[.](dist|egg)-info$', name)
        if match and match.group(1).lower().replace('-', '_') in names:
            found.setdefault(match.group(1).lower().replace('-', '_'), match.group(2))
spec = importlib.util.find_spec('torch')
build = {}
for place in (spec.submodule_search_locations or []) if spec else []:
    try:
        text = open(os.path.join(place, 'version.py')).read()
    except OSError:
        continue
    for key in ('__version__', 'cuda', 'hip'):
        match = re.search('^' + key + r"[^=\\n]*= *['\\"]([^'\\"]+)", text, re.M)
        if match:
            build[key.strip('_')] = match.group(1)[:200]
if module and not getattr(sys.flags, 'safe_path', 0):
    sys.path[0] = directory
has_module = is_there(module) if module else None
print(json.dumps({'executable': sys.executable, 'version': '.'.join(map(str, sys.version_info[:3])),
                  'torch': spec is not None, 'packages': found, 'torch_build': build, 'module': has_module}))
"""


def python(
    wanted: Optional[str],
    inspect: bool,
    mpirun: Optional[str] = None,
    module: Optional[str] = None,
    chdir: Optional[str] = None,
    env: Optional[Dict[str, str]] = None,
    with_mpi: bool = True,
) -> Dict[str, Any]:
    """
    Find the job's Python: the wanted path if it exists, otherwise this node's own python3.

    Args:
        module: The module that the job runs, from the working directory ``chdir`` or elsewhere.
        env: Variables of the job that affect what it finds.
        with_mpi: Whether to also search for an MPI, which takes as long as starting it.

    Returns:
        ``wanted`` and ``own`` (paths or None), each with ``_exists``, and with ``_report`` (what that Python reports,
        None if it was not run or did not answer); ``mpi``, as ``mpi`` returns it.
    """
    own = executables.which("python3")
    result: Dict[str, Any] = {"wanted": wanted, "own": own}
    for key in ("wanted", "own"):
        path = result[key]
        usable = bool(path) and executables.is_program(path)
        result[key + "_exists"] = usable
        # The node's own Python is the second choice, and runs only if the first one is missing.
        asked = inspect and usable and not (key == "own" and result["wanted_exists"])
        result[key + "_report"] = _ask(path, module, chdir, env) if asked else None
    found = [result[key] for key in ("wanted", "own") if result[key + "_exists"]]
    result["mpi"] = mpi(mpirun, found) if with_mpi else None
    return result


def _ask(
    path: str, module: Optional[str], chdir: Optional[str], env: Optional[Dict[str, str]]
) -> Optional[Dict[str, Any]]:
    report = _REPORT % ((PACKAGES, module, _base(chdir)),)
    with contextlib.suppress(OSError, ValueError):
        return dict(json.loads(executables.output([path, "-c", report], dict(os.environ, **(env or {})))))
    return None


def files(
    chdir: Optional[str], entry: Optional[str], program: Optional[str] = None, search: Optional[str] = None
) -> Dict[str, Any]:
    """
    Find the working directory, the entry script and the program, and read NCCL's files.

    Args:
        program: What the system executes, a path or a name.
        search: The job's own search path, if it has one.
    """
    base = _base(chdir)
    path = None if entry is None else os.path.join(base, entry)
    exists = None if path is None else os.path.isfile(path)
    script = path if exists else None
    if program is not None and "/" in program and entry is None and os.path.isfile(os.path.join(base, program)):
        script = os.path.join(base, program)
    return {
        "chdir_exists": chdir is not None and os.path.isdir(chdir),
        "entry_exists": exists,
        "entry_sha256": _digest(script) if script else None,
        "program_fault": None if program is None else _program_fault(base, program, search),
        "nccl_files": nccl_files(),
    }


def _base(chdir: Optional[str]) -> str:
    """Return the job's working directory."""
    return chdir if chdir is not None and os.path.isdir(chdir) else os.path.expanduser("~")


def _program_fault(base: str, program: str, search: Optional[str]) -> Optional[str]:
    beside = os.path.join(base, program)
    found = beside if "/" in program else executables.which(program, search)
    if found is None:
        return "is not on the PATH" + (", but in the working directory" if os.path.isfile(beside) else "")
    fault = executables.fault(found, search)
    return fault and fault[:_FAULT_CHARACTERS]


def _digest(path: str) -> Optional[str]:
    import hashlib  # A slow import that work without a script never needs.

    digest = hashlib.sha256()
    with contextlib.suppress(OSError), open(path, "rb") as stream:
        for piece in iter(lambda: stream.read(1 << 20), b""):
            digest.update(piece)
        return digest.hexdigest()
    return None


def limits() -> Dict[str, Optional[int]]:
    """Return the limits that the job will have, in bytes and files; None is unlimited."""
    # The supervisor is started by this process, so the job inherits its limits.
    hard = {name: resource.getrlimit(number)[1] for name, number in _LIMITS.items()}
    return {name: None if limit == resource.RLIM_INFINITY else limit for name, limit in hard.items()}


def space(run_base: str) -> Dict[str, Any]:
    """Measure free space in bytes on the file systems that runs write to: that of the run directory, and /dev/shm."""
    path = run_base
    while not os.path.isdir(path) and path != "/":
        path = os.path.dirname(path)
    status, shm = os.statvfs(path), _statvfs("/dev/shm")
    return {
        "run_base": run_base,
        "run_free": status.f_bavail * status.f_frsize,
        "run_inodes_free": status.f_favail if status.f_files else None,
        "run_writable": os.access(path, os.W_OK),
        "shm_free": shm,
        "locked_by": node_lock.holder(os.path.join(run_base, run_directory.LOCK)),
    }


def _statvfs(path: str) -> Optional[int]:
    with contextlib.suppress(OSError):
        status = os.statvfs(path)
        return status.f_bavail * status.f_frsize
    return None


def nccl_files() -> Dict[str, str]:
    """Read NCCL's own configuration files, which can override what a launcher sets."""
    texts = {name: small_files.text(os.path.expanduser(name), _CONF_BYTES) for name in NCCL_FILES}
    return {name: text for name, text in texts.items() if text is not None}


def mpi(wanted: Optional[str], pythons: Sequence[Optional[str]]) -> Optional[Dict[str, str]]:
    """
    Find an mpirun: the wanted one, otherwise one beside the job's Python, otherwise one on the PATH.

    Returns:
        ``program``, its path, and ``text``, how it describes itself; None if there is none.
    """
    beside = [os.path.join(os.path.dirname(python), "mpirun") for python in pythons if python]
    places = [wanted] if wanted else [*beside, executables.which("mpirun")]
    program = next((path for path in places if path and executables.is_program(path)), None)
    if program is None:
        return None
    try:
        text = executables.output([program, "--version"]).decode("utf-8", "replace")[:MPI_CHARACTERS]
    except OSError:
        text = ""
    return {"program": program, "text": text}

# SPDX-License-Identifier: Apache-2.0
"""
Look at one node's GPUs: how many, which, by which driver, and who holds them. Private to the collection.

The kernel's own view comes first and starts no program. Only where it is missing (a container without
these directories) are the vendors' tools asked, each in a child with a deadline. Files of a process
can hang with it; what reads them here leaves processes alone that are in an uninterruptible wait.

Formats: https://docs.kernel.org/gpu/amdgpu, KFD's topology in sysfs; ``/proc/driver/nvidia``; the
command line documentation of amd-smi, rocm-smi and nvidia-smi.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import pwd
import re
import signal
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils import _program

TOOL_SECONDS = 5.0
KILLED_SECONDS = 0.5
_KFD = "sys/class/kfd/kfd"
_NVIDIA = "proc/driver/nvidia"
_UNKNOWN = "unknown"
# They hold every NVIDIA GPU for ever and compute nothing; as the kernel cuts the name, at 15 characters.
_WATCHERS = ("nvidia-persiste", "nv-hostengine", "dcgm-exporter")

Run = Callable[[Sequence[str]], Optional[str]]
# Models, one a GPU in order; the driver's version; holders.
Found = Tuple[List[str], Optional[str], List[Dict[str, Any]]]


def run_bounded(argv: Sequence[str]) -> str:
    """
    Run a tool and give its standard output.

    Raises:
        OSError: If it cannot be started.
        subprocess.SubprocessError: If it gives no answer within ``TOOL_SECONDS``, or fails.
    """
    import subprocess  # Only where there is a tool to ask: its import takes as long as all the rest.

    with open(os.devnull, "r+b") as null:
        tool = subprocess.Popen(argv, stdin=null, stdout=subprocess.PIPE, stderr=null, start_new_session=True)
    try:
        text = tool.communicate(timeout=TOOL_SECONDS)[0].decode("utf-8", "replace")
    except subprocess.TimeoutExpired:
        os.killpg(tool.pid, signal.SIGKILL)
        # It is waited for only briefly: a tool that hangs in the driver cannot even be killed.
        with contextlib.suppress(subprocess.TimeoutExpired):
            tool.wait(KILLED_SECONDS)
        raise
    finally:
        if tool.stdout:
            tool.stdout.close()
    if tool.returncode:
        raise subprocess.CalledProcessError(tool.returncode, argv)
    return text


def gpus(root: str = "/", run: Run = run_bounded) -> Dict[str, Any]:
    """
    Look at this node's GPUs.

    Args:
        root: Where ``proc``, ``sys`` and ``opt`` are.
        run: Gives what a command prints; None, OSError or SubprocessError when it fails.

    Returns:
        ``vendor`` ("amd", "nvidia" or None), ``count``, ``models`` (one a GPU, in order), ``driver``
        (version or None), ``source`` ("kernel", a tool's name or None) and ``holders``, each with
        ``pid``, ``user``, ``command``, ``age_seconds`` (or None), ``run_id`` (or None) and ``gpus``
        (indices into ``models``). ``note`` is there only when a tool failed: which, and how.
        A user without privileges sees the holders of NVIDIA GPUs among own processes only.
    """
    for vendor, look in (("amd", _amd_kernel), ("nvidia", _nvidia_kernel)):
        found = look(root)
        if found[0]:
            return _result(vendor, "kernel", found)
    notes: List[str] = []
    for name, vendor, ask in _TOOLS:
        path = _find(root, name)
        if path is None:
            continue
        try:
            found = ask(path, root, run)
        except Exception as error:  # noqa: BLE001
            # Whatever a tool prints in place of what its documentation says, it is a note and no crash.
            notes.append("%s: %s" % (name, _reason(error)))
            continue
        if found[0]:
            return _result(vendor, name, found, notes)
    return _result(None, None, ([], None, []), notes)


def _result(vendor: Optional[str], source: Optional[str], found: Found, notes: Sequence[str] = ()) -> Dict[str, Any]:
    models, driver, holders = found
    result = {
        "vendor": vendor,
        "count": len(models),
        "models": models,
        "driver": driver,
        "source": source,
        "holders": holders,
    }
    return dict(result, note="; ".join(notes)) if notes else result


def _amd_kernel(root: str) -> Found:
    """Read KFD's topology, in which a node with SIMD units is a GPU; nodes without are processors."""
    models: List[str] = []
    index_of: Dict[str, int] = {}
    for node in _numbered(os.path.join(root, _KFD, "topology/nodes")):
        lines = [line.split(None, 1) for line in (_read(os.path.join(node, "properties")) or "").splitlines()]
        properties = {line[0]: line[1] for line in lines if len(line) == 2}
        if properties.get("simd_count", "0") == "0":
            continue
        index_of[_read(os.path.join(node, "gpu_id")) or ""] = len(models)
        models.append(_amd_model(root, node, properties))
    driver = _read(os.path.join(root, "sys/module/amdgpu/version"))
    return models, driver, _amd_holders(root, index_of) if models else []


def _amd_model(root: str, node: str, properties: Dict[str, str]) -> str:
    """Name a GPU as it is sold where its board says so, else by its instruction set (gfx942)."""
    card = os.path.join(root, "sys/class/drm/renderD%s/device/product_name" % properties.get("drm_render_minor", ""))
    version = properties.get("gfx_target_version", "0")
    target = None
    if version.isdigit() and int(version):
        # 90402 is 9, 4, 2; the last two are written as hexadecimal digits: 90010 is gfx90a.
        target = "gfx%d%x%x" % (int(version) // 10000, int(version) // 100 % 100, int(version) % 100)
    return _read(card) or target or _read(os.path.join(node, "name")) or _UNKNOWN


def _amd_holders(root: str, index_of: Dict[str, int]) -> List[Dict[str, Any]]:
    """List who holds a GPU: who has memory or a queue on it. KFD names GPUs by numbers of its own."""
    holders = []
    for process in _numbered(os.path.join(root, _KFD, "proc")):
        held = {_read(path) for path in glob.glob(os.path.join(process, "queues/*/gpuid"))}
        for path in glob.glob(os.path.join(process, "vram_*")):
            if (_read(path) or "0") != "0":
                held.add(path.rpartition("_")[2])
        indices = sorted(index_of[number] for number in held if number in index_of)
        if held:
            holders += _holder(root, int(os.path.basename(process)), indices)
    return holders


def _nvidia_kernel(root: str) -> Found:
    """Read the driver's directory, one entry a GPU named by PCI address, which is nvidia-smi's order."""
    models: List[str] = []
    index_of: Dict[str, int] = {}
    for path in sorted(glob.glob(os.path.join(root, _NVIDIA, "gpus/*/information"))):
        lines = [line.partition(":") for line in (_read(path) or "").splitlines()]
        known = {name.strip(): value.strip() for name, _, value in lines}
        if known.get("GPU Excluded") == "Yes":
            continue
        index_of["/dev/nvidia" + known.get("Device Minor", str(len(models)))] = len(models)
        models.append(known.get("Model") or _UNKNOWN)
    version = re.search(r"Kernel Module(?: for \S+)?\s+(\d[\d.]*)", _read(os.path.join(root, _NVIDIA, "version")) or "")
    return models, version.group(1) if version else None, _nvidia_holders(root, index_of) if models else []


def _nvidia_holders(root: str, index_of: Dict[str, int]) -> List[Dict[str, Any]]:
    holders = []
    for process in _numbered(os.path.join(root, "proc")):
        if _read(os.path.join(process, "comm")) in _WATCHERS:
            continue
        opened = {_link(path) for path in glob.glob(os.path.join(process, "fd/*"))}
        indices = sorted(index_of[device] for device in opened if device in index_of)
        if indices:
            holders += _holder(root, int(os.path.basename(process)), indices)
    return holders


def _ask_amd_smi(path: str, root: str, run: Run) -> Found:
    answer = _json(_output(run, [path, "static", "--asic", "--board", "--driver", "--json"]))
    # Newer ones wrap the list; the driver's version was called otherwise once.
    entries = answer["gpu_data"] if isinstance(answer, dict) else answer
    models, drivers = [], []
    for entry in sorted(entries, key=lambda each: int(each["gpu"])):
        asic, board, driver = (entry.get(part) or {} for part in ("asic", "board", "driver"))
        models.append(_first(_said(board, "product_name"), _said(asic, "market_name", "target_graphics_version")))
        drivers.append(_said(driver, "version", "driver_version"))
    return models, drivers[0] if drivers else None, _amd_holders(root, {})


def _ask_rocm_smi(path: str, root: str, run: Run) -> Found:
    text = _output(run, [path, "--showproductname", "--showdriverversion", "--json"])
    if "No JSON data" in text:
        return [], None, []
    # Capitals differ between releases: "Card series", "Card Series".
    answer = {name: {key.lower(): value for key, value in entry.items()} for name, entry in _json(text).items()}
    cards = sorted((name for name in answer if re.match(r"card\d+$", name)), key=lambda name: int(name[4:]))
    wanted = ("card series", "device name", "card model", "gfx version")
    models = [_first(_said(answer[name], *wanted)) for name in cards]
    return models, _said(answer.get("system", {}), "driver version"), _amd_holders(root, {})


def _ask_nvidia_smi(path: str, root: str, run: Run) -> Found:
    fields = "--query-gpu=index,name,driver_version,uuid"
    rows = _rows(_output(run, [path, fields, "--format=csv,noheader"]), 4)
    rows.sort(key=lambda row: int(row[0]))
    index_of = {row[3]: index for index, row in enumerate(rows)}
    held: Dict[int, List[int]] = {}
    if rows:
        fields = "--query-compute-apps=pid,gpu_uuid"
        for pid, uuid in _rows(_output(run, [path, fields, "--format=csv,noheader"]), 2):
            if pid.isdigit() and uuid in index_of:
                held.setdefault(int(pid), []).append(index_of[uuid])
    holders = [entry for pid in sorted(held) for entry in _holder(root, pid, sorted(held[pid]))]
    return [row[1] for row in rows], rows[0][2] if rows else None, holders


_TOOLS: Tuple[Tuple[str, str, Callable[[str, str, Run], Found]], ...] = (
    ("amd-smi", "amd", _ask_amd_smi),
    ("rocm-smi", "amd", _ask_rocm_smi),
    ("nvidia-smi", "nvidia", _ask_nvidia_smi),
)


def _find(root: str, name: str) -> Optional[str]:
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), os.path.join(root, "opt/rocm/bin")])
    found: Optional[str] = _program.which(name, path)
    return found


def _output(run: Run, argv: Sequence[str]) -> str:
    text = run(argv)
    if text is None:
        raise ValueError("no answer")
    return text


def _json(text: str) -> Any:
    """Decode what begins at the first line that looks like JSON: tools print warnings before it."""
    start = re.search(r"^\s*[\[{]", text, re.MULTILINE)
    if start is None:
        raise ValueError("no JSON in what it printed")
    return json.loads(text[start.start() :])


def _rows(text: str, width: int) -> List[List[str]]:
    """Split CSV into rows of ``width`` fields; what has another width is a message, not a row."""
    lines = [line for line in text.splitlines() if line.strip() and line.strip() != "No devices were found"]
    rows = [[field.strip() for field in line.split(",")] for line in lines]
    if any(len(row) != width for row in rows):
        raise ValueError("it printed: %s" % " ".join(text.split())[:120])
    return rows


def _said(entry: Dict[str, Any], *names: str) -> Optional[str]:
    """Give the first of several values that says something."""
    values = (str(entry.get(name) or "").strip() for name in names)
    return next((value for value in values if value and value != "N/A"), None)


def _first(*values: Optional[str]) -> str:
    return next((value for value in values if value), _UNKNOWN)


def _reason(error: Exception) -> str:
    import subprocess

    if isinstance(error, subprocess.TimeoutExpired):
        return "no answer within %g s" % TOOL_SECONDS
    if isinstance(error, subprocess.CalledProcessError):
        return "exit code %d" % error.returncode
    if isinstance(error, OSError):
        return "could not be started: %s" % error.strerror
    if isinstance(error, json.JSONDecodeError) or not isinstance(error, ValueError):
        return "not understood (%s)" % error
    return str(error)


def _holder(root: str, pid: int, indices: List[int]) -> List[Dict[str, Any]]:
    """Describe a process, as a list of one; the one that asks is none."""
    if pid == os.getpid():
        return []
    process = os.path.join(root, "proc", str(pid))
    name = _read(os.path.join(process, "comm")) or ""
    # The name may hold blanks and parentheses: count from its end.
    stat = (_read(os.path.join(process, "stat")) or "").rpartition(")")[2].split()
    stuck = stat[:1] == ["D"]
    environment = "" if stuck else _read(os.path.join(process, "environ")) or ""
    marks = [word.partition("=")[2] for word in environment.split("\0") if word.startswith("MADCTL_RUN_ID=")]
    words = "" if stuck else _read(os.path.join(process, "cmdline")) or ""
    return [
        {
            "pid": pid,
            "user": _user(process),
            "command": words.replace("\0", " ").strip() or name,
            "age_seconds": _age(root, stat),
            "run_id": marks[0] if marks else None,
            "gpus": indices,
        }
    ]


def _user(process: str) -> str:
    """Name who runs a process, by number where no name is known here."""
    found = re.search(r"^Uid:\s+(\d+)", _read(os.path.join(process, "status")) or "", re.MULTILINE)
    if found is None:
        return _UNKNOWN
    try:
        return pwd.getpwuid(int(found.group(1))).pw_name
    except KeyError:
        return found.group(1)


def _age(root: str, stat: Sequence[str]) -> Optional[float]:
    """Compute a process's age in seconds; ``stat`` begins with the third field of its file."""
    uptime = (_read(os.path.join(root, "proc/uptime")) or "").split()
    if len(stat) < 20 or not uptime:
        return None
    return round(max(0.0, float(uptime[0]) - int(stat[19]) / os.sysconf("SC_CLK_TCK")), 2)


def _numbered(directory: str) -> List[str]:
    """List the entries of a directory that are numbers, in their order."""
    try:
        names = os.listdir(directory)
    except OSError:
        return []
    return [os.path.join(directory, name) for name in sorted(filter(str.isdigit, names), key=int)]


def _link(path: str) -> Optional[str]:
    try:
        return os.readlink(path)
    except OSError:
        return None


def _read(path: str) -> Optional[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read().strip()
    except OSError:
        return None

# SPDX-License-Identifier: Apache-2.0
"""
Measure the usage of a node's GPUs: from the kernel's files, otherwise with the vendors' tools, as the probe does.

Any of it may hang on a broken card. Delivered beside the supervisor; private to the collection.

Formats: https://docs.kernel.org/gpu/amdgpu (``gpu_busy_percent``, ``mem_info_vram_*``, hwmon); the command line
documentation of amd-smi, rocm-smi and nvidia-smi.
"""

from __future__ import annotations

import glob
import math
import os
import re
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._node import kfd, procfs, small_files, vendor_tools

_MEMORY = "mem_info_vram_used"
_MIB, _MICRO, _MILLI = 1 << 20, 1e6, 1e3
_NVIDIA = "--query-gpu=index,uuid,utilization.gpu,memory.used,memory.total,power.draw,temperature.gpu"
_NVIDIA_APPS = "--query-compute-apps=pid,gpu_uuid"
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
# Larger values are not measurements, but what drivers write for unknown ones.
_MOST_WATTS, _MOST_DEGREES = 1e5, 1e3
_TEXT_CHARACTERS = 64
# Of the sensors of an AMD GPU, the hottest spot counts, as in the tools.
_SENSORS = ("junction", "hotspot", "edge")

Gpu = Dict[str, Any]
Answer = Tuple[List[Gpu], List[List[int]]]


class Found(NamedTuple):
    """
    The GPUs in order, which processes compute on each, and the source: ``kernel``, or the name of a tool.

    Without any, ``error`` may say why.
    """

    gpus: List[Gpu]
    pids: List[List[int]]
    source: Optional[str]
    error: Optional[str] = None


def measure(root: str = "/", run: vendor_tools.Run = vendor_tools.run_bounded) -> Found:
    """
    Measure all GPUs once.

    Args:
        root: The directory of ``proc``, ``sys`` and ``opt``.
        run: Returns a command's output; raises OSError or SubprocessError if it fails.

    Returns:
        Each GPU has ``busy_percent``, ``memory_bytes``, ``memory_total_bytes``, ``power_watts`` and
        ``temperature_celsius``; what is not known is None.
    """
    listed = kfd.gpus(root)
    found = [_amd(root, gpu) for gpu in listed]
    if any(gpu["busy_percent"] is not None or gpu["memory_bytes"] is not None for gpu in found):
        return Found(found, _amd_pids(root, listed), "kernel")
    errors: List[str] = []
    for name, ask in _tools(root):
        path = vendor_tools.find(root, name)
        if path is None:
            continue
        try:
            by_tool, pids = ask(path, run)
        except Exception as error:  # noqa: BLE001
            # Output that differs from a tool's documentation is a note, not a crash.
            errors.append("%s: %s" % (name, vendor_tools.reason(error)))
            continue
        if by_tool:
            return Found(by_tool, pids or [[] for _ in by_tool], name)
    return Found([], [], None, "; ".join(errors) or None)


def _tools(root: str) -> List[Tuple[str, Callable[[str, vendor_tools.Run], Answer]]]:
    """Return the tools in the order in which to try them: the other vendor's tools take seconds to find nothing."""
    is_nvidia = os.path.isdir(os.path.join(root, "proc/driver/nvidia/gpus"))
    return sorted(_TOOLS, key=lambda tool: (tool[0] == "nvidia-smi") is not is_nvidia)


def may_have(root: str = "/") -> bool:
    """Return whether anything on this node could report GPUs."""
    return bool(kfd.gpus(root)) or any(vendor_tools.find(root, name) for name, _ in _TOOLS)


def needs_tool(root: str = "/") -> bool:
    """Return whether a program has to run for it, which costs more than reading files; reads no file of a card."""
    return not any(os.path.exists(os.path.join(_device(root, gpu), _MEMORY)) for gpu in kfd.gpus(root))


def _gpu(busy: object, used: object, total: object, watts: object, degrees: object) -> Gpu:
    """Build the entry of one GPU from what was read; impossible numbers become None."""
    memory, most = number(used), number(total)
    return {
        "busy_percent": number(busy, 0, 100),
        "memory_bytes": None if memory is None else int(memory),
        "memory_total_bytes": None if most is None else int(most),
        "power_watts": number(watts, 0, _MOST_WATTS),
        "temperature_celsius": number(degrees, -_MOST_DEGREES, _MOST_DEGREES),
    }


def number(value: object, low: float = 0, high: float = 1 << 53) -> Optional[float]:
    """Return a number, or the one that a text begins with; None for anything else, and for one out of bounds."""
    if isinstance(value, str):
        match = _NUMBER.match(value[:_TEXT_CHARACTERS].strip())
        value = float(match[0]) if match else None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return round(float(value), 1) if low <= value <= high else None


def _times(value: object, factor: float) -> Optional[float]:
    found = number(value)
    return None if found is None else found * factor


# -- the kernel's files -----------------------------------------------------------------------------


def _device(root: str, gpu: kfd.Gpu) -> str:
    return os.path.join(root, "sys/class/drm/renderD%s/device" % gpu.minor)


def _amd(root: str, gpu: kfd.Gpu) -> Gpu:
    device = _device(root, gpu)
    [hwmon, *_] = [*sorted(glob.glob(os.path.join(glob.escape(device), "hwmon/hwmon*"))), ""]

    def read(name: str) -> Optional[str]:
        return small_files.text(os.path.join(device, name), _TEXT_CHARACTERS)

    def sensor(name: str) -> Optional[str]:
        return small_files.text(os.path.join(hwmon, name), _TEXT_CHARACTERS) if hwmon else None

    watts = next(filter(None, map(sensor, ("power1_average", "power1_input"))), None)
    return _gpu(
        read("gpu_busy_percent"),
        read(_MEMORY),
        read("mem_info_vram_total"),
        _times(watts, 1 / _MICRO),
        _times(_hottest(sensor), 1 / _MILLI),
    )


def _hottest(sensor: Callable[[str], Optional[str]]) -> Optional[str]:
    """Return the temperature of the most important sensor that exists."""
    found = {sensor("temp%d_label" % at) or "edge": sensor("temp%d_input" % at) for at in (3, 2, 1)}
    return next((found[label] for label in _SENSORS if found.get(label)), None)


def _amd_pids(root: str, gpus: Sequence[kfd.Gpu]) -> List[List[int]]:
    """Return the processes with memory on each GPU, according to KFD."""
    place = os.path.join(root, kfd.PLACE, "proc")
    found: List[List[int]] = [[] for _ in gpus]
    for pid in procfs.numbered(place):
        for at, gpu in enumerate(gpus):
            held = small_files.text(os.path.join(place, str(pid), "vram_" + gpu.identity), _TEXT_CHARACTERS)
            if (held or "0") != "0":
                found[at].append(pid)
    return found


# -- tools ------------------------------------------------------------------------------------------


def _amd_smi(path: str, run: vendor_tools.Run) -> Answer:
    text, failure = vendor_tools.said_by(run, [path, "metric", "-u", "-m", "-p", "-t", "--json"])
    documents, _ = vendor_tools.documents(text, failure)
    gpus: Dict[int, Dict[str, Any]] = {}
    for document in documents:
        # Newer ones wrap the list.
        for entry in document["gpu_data"] if isinstance(document, dict) else document:
            gpus.setdefault(int(entry["gpu"]), {}).update(entry)
    return [_of_amd_smi(entry) for _, entry in sorted(gpus.items())], []


def _of_amd_smi(entry: Dict[str, Any]) -> Gpu:
    def value(part: str, *names: str) -> Optional[float]:
        known = entry.get(part)
        values = [known.get(name) for name in names] if isinstance(known, dict) else []
        # A value is a number, with its unit in newer ones, or N/A.
        plain = [one.get("value") if isinstance(one, dict) else one for one in values]
        return next((one for one in map(number, plain) if one is not None), None)

    used, total = (_times(value("mem_usage", name), _MIB) for name in ("used_vram", "total_vram"))
    watts = value("power", "socket_power", "average_socket_power", "current_socket_power")
    return _gpu(value("usage", "gfx_activity"), used, total, watts, value("temperature", *_SENSORS))


def _rocm_smi(path: str, run: vendor_tools.Run) -> Answer:
    words = [path, "--showuse", "--showmeminfo", "vram", "--showpower", "--showtemp", "--json"]
    text, failure = vendor_tools.said_by(run, words)
    if "No JSON data" in text and not failure:
        return [], []
    documents, _ = vendor_tools.documents(text, failure)
    cards = {name: entry for name, entry in documents[0].items() if re.fullmatch(r"card\d+", name)}
    return [_of_rocm_smi(cards[name]) for name in sorted(cards, key=lambda name: int(name[4:]))], []


def _of_rocm_smi(entry: Dict[str, Any]) -> Gpu:
    # Capitals, and the words before these, differ between releases.
    known = {key.lower(): value for key, value in entry.items()}

    def value(*ends: str) -> Optional[float]:
        found = (known[key] for end in ends for key in known if key.endswith(end))
        return next((one for one in map(number, found) if one is not None), None)

    return _gpu(
        value("gpu use (%)"),
        value("vram total used memory (b)"),
        value("vram total memory (b)"),
        value("package power (w)"),
        value(*("(sensor %s) (c)" % name for name in _SENSORS)),
    )


def _nvidia_smi(path: str, run: vendor_tools.Run) -> Answer:
    text, failure = vendor_tools.said_by(run, [path, _NVIDIA, "--format=csv,noheader,nounits"])
    rows, words = vendor_tools.rows(text, 7)
    if not rows:
        if failure and "No devices were found" not in text:
            raise failure
        return [], []
    rows.sort(key=lambda row: int(row[0]))
    gpus = [_gpu(busy, _times(used, _MIB), _times(total, _MIB), *rest) for _, _, busy, used, total, *rest in rows]
    at = {row[1]: index for index, row in enumerate(rows)}
    pids: List[List[int]] = [[] for _ in rows]
    for pid, uuid in vendor_tools.rows(vendor_tools.said_by(run, [path, _NVIDIA_APPS, "--format=csv,noheader"])[0], 2)[
        0
    ]:
        if uuid in at:
            pids[at[uuid]].append(int(pid))
    return gpus, pids


_TOOLS: Tuple[Tuple[str, Callable[[str, vendor_tools.Run], Answer]], ...] = (
    ("amd-smi", _amd_smi),
    ("rocm-smi", _rocm_smi),
    ("nvidia-smi", _nvidia_smi),
)

# SPDX-License-Identifier: Apache-2.0
"""
Find one node's GPUs: their number and models, the driver, and the processes that hold them. Private to the collection.

The kernel's own view comes first and starts no program. The vendors' tools run only if it is missing, as in a container
without these directories.

Formats: see ``_node/kfd.py``; ``/proc/driver/nvidia``.
"""

from __future__ import annotations

import contextlib
import glob
import grp
import os
import re
from typing import Any, Dict, List, Optional, Sequence

from ansible_collections.madctl.multinode.plugins.module_utils._common import schema
from ansible_collections.madctl.multinode.plugins.module_utils._node import kfd, small_files, vendor_tools
from ansible_collections.madctl.multinode.plugins.module_utils._probe import gpu_holders, gpu_tools

_NVIDIA = "proc/driver/nvidia"
_NAME_CHARACTERS = 256
_PERMISSION = re.compile("permission|denied|group", re.IGNORECASE)
_PCI = r"[0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]"


def gpus(root: str = "/", run: vendor_tools.Run = vendor_tools.run_bounded) -> Dict[str, Any]:
    """
    Find this node's GPUs.

    Args:
        root: The directory of ``proc``, ``sys`` and ``opt``.
        run: Returns a command's output; raises OSError or SubprocessError if it fails.

    Returns:
        ``vendor`` ("amd", "nvidia" or None), ``count``, ``models`` (one per GPU, in order), ``driver``
        (version or None), ``source`` ("kernel", a tool's name or None) and ``holders``, each with
        ``pid``, ``user``, ``command``, ``age_seconds`` (or None), ``run_id`` (or None) and ``gpus``
        (indices into ``models``). If they apply, ``note`` (which tool failed, and how), ``uuids`` (one per GPU),
        ``dead`` (GPUs that do not answer) and ``denied`` (devices that this user may not open: ``path``, and
        ``group``, None if the device is missing).
        A user without privileges sees only their own processes among the holders of NVIDIA GPUs.
    """
    for vendor, look in (("amd", _amd_kernel), ("nvidia", _nvidia_kernel)):
        found = look(root, run)
        if found.models or (found.more or {}).get("dead"):
            return _result(vendor, "kernel", found)
    notes: List[str] = []
    for name, vendor, ask in gpu_tools.TOOLS:
        path = vendor_tools.find(root, name)
        if path is None:
            continue
        try:
            found = ask(path, root, run)
        except Exception as error:  # noqa: BLE001
            # Output that differs from a tool's documentation is a note, not a crash.
            notes.append("%s: %s" % (name, vendor_tools.reason(error)))
            continue
        if found.words and (found.models or _PERMISSION.search(found.words)):
            notes.append("%s: %s" % (name, vendor_tools.shortened(found.words)))
        if found.models:
            return _result(vendor, name, found, notes)
    return _result(None, None, gpu_tools.Found([]), notes)


def unknown(why: str) -> Dict[str, Any]:
    """Return the facts of a node whose GPUs could not be detected."""
    return _result(None, None, gpu_tools.Found([]), [why])


def _result(
    vendor: Optional[str], source: Optional[str], found: gpu_tools.Found, notes: Sequence[str] = ()
) -> Dict[str, Any]:
    result = {
        "vendor": vendor,
        "count": len(found.models),
        "models": list(map(_told, found.models)),
        "driver": _told(found.driver),
        "source": source,
        "holders": list(found.holders),
        **{name: list(map(_told, value)) for name, value in (found.more or {}).items() if value},
    }
    return dict(result, note=schema.cut("; ".join(notes))) if notes else result


def _told(value: Any) -> Any:
    return schema.cut(value, _NAME_CHARACTERS) if isinstance(value, str) else value


def _amd_kernel(root: str, _: vendor_tools.Run) -> gpu_tools.Found:
    """Read KFD's topology."""
    real = kfd.gpus(root)
    if not real:
        return gpu_tools.Found([])
    index_of = {gpu.identity: index for index, gpu in enumerate(real)}
    devices = ["dev/kfd", *("dev/dri/renderD" + gpu.minor for gpu in real if gpu.minor)]
    return gpu_tools.Found(
        [_amd_model(root, gpu) for gpu in real],
        small_files.text(os.path.join(root, "sys/module/amdgpu/version")),
        gpu_holders.amd(root, index_of),
        {"denied": _denied(root, devices, must_exist=True)},
    )


def _denied(root: str, devices: Sequence[str], must_exist: bool) -> List[Dict[str, Any]]:
    """
    Return devices that this user may not open.

    Args:
        must_exist: Whether a missing device counts: containers see the kernel's view of all GPUs, but have only the
            devices that they were given.
    """
    found: List[Dict[str, Any]] = []
    for device in devices if os.path.isdir(os.path.join(root, "dev")) else ():
        path = os.path.join(root, device)
        try:
            status = os.stat(path)
        except OSError:
            found += [{"path": "/" + device, "group": None}] if must_exist else []
            continue
        if not os.access(path, os.R_OK | os.W_OK, effective_ids=os.access in os.supports_effective_ids):
            found.append({"path": "/" + device, "group": _group(status.st_gid)})
    return found


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _amd_model(root: str, gpu: kfd.Gpu) -> str:
    """Return a GPU's product name if its board has one, otherwise its instruction set (gfx942)."""
    card = os.path.join(root, "sys/class/drm/renderD%s/device/product_name" % gpu.minor)
    version = gpu.properties.get("gfx_target_version", "0")
    target = None
    if version.isdigit() and int(version):
        # 90402 means 9, 4, 2, of which the last two are hexadecimal digits: 90010 is gfx90a.
        target = "gfx%d%x%x" % (int(version) // 10000, int(version) // 100 % 100, int(version) % 100)
    name = small_files.text(os.path.join(gpu.path, "name"))
    return small_files.text(card) or target or name or gpu_holders.UNKNOWN


def _nvidia_kernel(root: str, run: vendor_tools.Run) -> gpu_tools.Found:
    """Read the driver's directory, one entry per GPU named by its PCI address, which is nvidia-smi's order."""
    all_of_them = [_nvidia_gpu(path) for path in sorted(glob.glob(os.path.join(root, _NVIDIA, "gpus/*/information")))]
    listed = [known for known in all_of_them if known.get("GPU Excluded") != "Yes"]
    silent = [known for known in listed if "?" in known.get("GPU UUID", "")]
    dead = _dead(silent, listed, root, run) if silent else []
    real = [known for known in listed if known not in dead]
    minors = [known.get("Device Minor", str(index)) for index, known in enumerate(real)]
    index_of = {"/dev/nvidia" + minor: index for index, minor in enumerate(minors)}
    uuids = [known.get("GPU UUID", "") for known in real]
    version = re.search(
        r"Kernel Module(?: for \S+)?\s+(\d[\d.]*)", small_files.text(os.path.join(root, _NVIDIA, "version")) or ""
    )
    return gpu_tools.Found(
        [known.get("Model") or gpu_holders.UNKNOWN for known in real],
        version.group(1) if version else None,
        gpu_holders.nvidia(root, index_of) if real else [],
        {
            "uuids": uuids if all(uuids) and not silent else [],
            "dead": ["%s (%s)" % (known["address"], known.get("Model") or gpu_holders.UNKNOWN) for known in dead],
            "denied": _denied(root, ["dev/nvidiactl", *(device[1:] for device in index_of)], False) if real else [],
        },
    )


def _nvidia_gpu(path: str) -> Dict[str, str]:
    lines = [line.partition(":") for line in (small_files.text(path) or "").splitlines()]
    known = {name.strip(): value.strip() for name, _, value in lines}
    return {**known, "address": os.path.basename(os.path.dirname(path)).lower()}


def _dead(
    silent: List[Dict[str, str]], listed: List[Dict[str, str]], root: str, run: vendor_tools.Run
) -> List[Dict[str, str]]:
    """
    Return which GPUs without a UUID are dead, and not merely unused so far.

    nvidia-smi wakes them up, and does not list dead ones. Without its answer they are dead if other GPUs have a UUID.
    """
    path, alive = vendor_tools.find(root, "nvidia-smi"), ""
    if path is not None:
        with contextlib.suppress(Exception):  # Then the kernel's view counts.
            alive, _ = vendor_tools.said_by(run, [path, "--query-gpu=pci.bus_id", "--format=csv,noheader"])
    # nvidia-smi writes eight digits of the domain, the kernel four.
    addresses = {line.strip().lower()[-12:] for line in alive.splitlines() if re.fullmatch(_PCI, line.strip())}
    if addresses:
        return [known for known in silent if known["address"][-12:] not in addresses]
    return silent if len(silent) < len(listed) else []

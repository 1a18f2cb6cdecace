# SPDX-License-Identifier: Apache-2.0
"""
Run the vendors' tools to find GPUs, each in a child with a deadline. Private to the collection.

Other output of a tool, and the way it fails, are kept: a tool that fails does not mean "no GPU".

Formats: the command line documentation of amd-smi, rocm-smi and nvidia-smi.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._node import vendor_tools
from ansible_collections.madctl.multinode.plugins.module_utils._probe import gpu_holders

_APPS = "--query-compute-apps=pid,gpu_uuid"


class Found(NamedTuple):
    """
    The result of one way to find GPUs.

    ``models`` has one entry per GPU, in order; ``more`` has facts that exist only sometimes, and ``words`` the other
    output of a tool.
    """

    models: List[str]
    driver: Optional[str] = None
    holders: Sequence[Dict[str, Any]] = ()
    more: Optional[Dict[str, Any]] = None
    words: str = ""


def amd_smi(path: str, root: str, run: vendor_tools.Run) -> Found:
    text, failure = vendor_tools.said_by(run, [path, "static", "--asic", "--board", "--driver", "--json"])
    documents, words = vendor_tools.documents(text, failure)
    gpus: Dict[int, Dict[str, Any]] = {}
    for document in documents:
        # Newer ones wrap the list; some print one more document after it.
        entries = document["gpu_data"] if isinstance(document, dict) else document
        for entry in entries:
            gpus.setdefault(int(entry["gpu"]), {}).update(entry)
    models, drivers = [], []
    for _, entry in sorted(gpus.items()):
        asic, board, driver = (_part(entry, name) for name in ("asic", "board", "driver"))
        known = vendor_tools.said(board, "product_name") or vendor_tools.said(
            asic, "market_name", "target_graphics_version"
        )
        models.append(known or gpu_holders.UNKNOWN)
        # Older releases use another name for the driver's version.
        drivers.append(vendor_tools.said(driver, "version", "driver_version"))
    return _answered(Found(models, drivers[0] if drivers else None, gpu_holders.amd(root, {}), None, words), failure)


def _part(entry: Dict[str, Any], name: str) -> Dict[str, Any]:
    """Return a part of a tool's answer about a GPU; it is a text such as N/A if a permission is missing."""
    part = entry.get(name)
    return part if isinstance(part, dict) else {}


def rocm_smi(path: str, root: str, run: vendor_tools.Run) -> Found:
    text, failure = vendor_tools.said_by(run, [path, "--showproductname", "--showdriverversion", "--json"])
    if "No JSON data" in text and not failure:
        return Found([])
    documents, words = vendor_tools.documents(text, failure)
    # Capitals differ between releases: "Card series", "Card Series".
    answer = {name: {key.lower(): value for key, value in entry.items()} for name, entry in documents[0].items()}
    cards = sorted((name for name in answer if re.match(r"card\d+$", name)), key=lambda name: int(name[4:]))
    wanted = ("card series", "device name", "card model", "gfx version")
    models = [vendor_tools.said(answer[name], *wanted) or gpu_holders.UNKNOWN for name in cards]
    driver = vendor_tools.said(answer.get("system", {}), "driver version")
    return _answered(Found(models, driver, gpu_holders.amd(root, {}), None, words), failure)


def nvidia_smi(path: str, root: str, run: vendor_tools.Run) -> Found:
    fields = "--query-gpu=index,name,driver_version,uuid"
    text, failure = vendor_tools.said_by(run, [path, fields, "--format=csv,noheader"])
    rows, words = vendor_tools.rows(text, 4)
    if not rows and not words and "No devices were found" in text:
        return Found([])  # With any exit code.
    if not rows and words and not failure:
        raise vendor_tools.ToolError("it printed: %s" % vendor_tools.shortened(words))
    rows.sort(key=lambda row: int(row[0]))
    uuids = [row[3] for row in rows]
    index_of = {uuid: index for index, uuid in enumerate(uuids)}
    held: Dict[int, List[int]] = {}
    if rows:
        for pid, uuid in vendor_tools.rows(vendor_tools.said_by(run, [path, _APPS, "--format=csv,noheader"])[0], 2)[0]:
            if uuid in index_of:
                held.setdefault(int(pid), []).append(index_of[uuid])
    holders = [entry for pid in sorted(held) for entry in gpu_holders.holder(root, pid, sorted(held[pid]))]
    driver = rows[0][2] if rows else None
    return _answered(Found([row[1] for row in rows], driver, holders, {"uuids": uuids}, words), failure)


def _answered(found: Found, failure: Optional[Exception]) -> Found:
    """Return an answer, with the failure of its tool among the words; without an answer, raise the failure."""
    if failure is None:
        return found
    if not found.models:
        raise failure
    words = found.words or getattr(failure, "stderr", None) or ""
    return found._replace(words="exit code %s: %s" % (getattr(failure, "returncode", "?"), words))


TOOLS: Tuple[Tuple[str, str, Callable[[str, str, vendor_tools.Run], Found]], ...] = (
    ("amd-smi", "amd", amd_smi),
    ("rocm-smi", "amd", rocm_smi),
    ("nvidia-smi", "nvidia", nvidia_smi),
)

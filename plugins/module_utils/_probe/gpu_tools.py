# SPDX-License-Identifier: Apache-2.0
"""
Run the vendors' tools to find GPUs, each in a child with a deadline. Private to the collection.

What a tool prints beside its answer, and how it fails, is kept: a tool that fails does not mean "no GPU".

Formats: the command line documentation of amd-smi, rocm-smi and nvidia-smi.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import plain_text
from ansible_collections.madctl.multinode.plugins.module_utils._node import executables
from ansible_collections.madctl.multinode.plugins.module_utils._probe import gpu_holders

TOOL_SECONDS = 5.0
KILLED_SECONDS = 0.5
_WORDS_CHARACTERS = 200
_APPS = "--query-compute-apps=pid,gpu_uuid"

Run = Callable[[Sequence[str]], str]


class Found(NamedTuple):
    """
    The result of one way to find GPUs.

    ``models`` has one entry per GPU, in order; ``more`` has facts that exist only sometimes, and ``words`` what a tool
    printed beside its answer.
    """

    models: List[str]
    driver: Optional[str] = None
    holders: Sequence[Dict[str, Any]] = ()
    more: Optional[Dict[str, Any]] = None
    words: str = ""


class ToolError(ValueError):
    """A tool gave no usable answer; the text says why, in the tool's own words where it has some."""


def run_bounded(argv: Sequence[str]) -> str:
    """
    Run a tool and return its standard output.

    Raises:
        OSError: If it cannot be started.
        subprocess.SubprocessError: If it does not answer within ``TOOL_SECONDS``, or fails, with its output.
    """
    import subprocess  # Slow to import, and only needed where a tool exists.

    pipe = subprocess.PIPE
    tool = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, preexec_fn=os.setpgrp)
    try:
        text, errors = (each.decode("utf-8", "replace") for each in tool.communicate(timeout=TOOL_SECONDS))
    except subprocess.TimeoutExpired:
        os.killpg(tool.pid, signal.SIGKILL)
        # Only briefly: a tool that hangs in the driver cannot even be killed.
        with contextlib.suppress(subprocess.TimeoutExpired):
            tool.wait(KILLED_SECONDS)
        raise
    finally:
        for stream in (tool.stdout, tool.stderr):
            if stream:
                stream.close()
    if tool.returncode:
        raise subprocess.CalledProcessError(tool.returncode, argv, text, errors)
    return text


def amd_smi(path: str, root: str, run: Run) -> Found:
    text, failure = said_by(run, [path, "static", "--asic", "--board", "--driver", "--json"])
    documents, words = _documents(text, failure)
    gpus: Dict[int, Dict[str, Any]] = {}
    for document in documents:
        # Newer ones wrap the list; some print one more document after it.
        entries = document["gpu_data"] if isinstance(document, dict) else document
        for entry in entries:
            gpus.setdefault(int(entry["gpu"]), {}).update(entry)
    models, drivers = [], []
    for _, entry in sorted(gpus.items()):
        asic, board, driver = (_part(entry, name) for name in ("asic", "board", "driver"))
        known = _said(board, "product_name") or _said(asic, "market_name", "target_graphics_version")
        models.append(known or gpu_holders.UNKNOWN)
        # Older releases have another name for the driver's version.
        drivers.append(_said(driver, "version", "driver_version"))
    return _answered(Found(models, drivers[0] if drivers else None, gpu_holders.amd(root, {}), None, words), failure)


def _part(entry: Dict[str, Any], name: str) -> Dict[str, Any]:
    """Return a part of a tool's answer on a GPU; it is a text such as N/A where a permission is missing."""
    part = entry.get(name)
    return part if isinstance(part, dict) else {}


def rocm_smi(path: str, root: str, run: Run) -> Found:
    text, failure = said_by(run, [path, "--showproductname", "--showdriverversion", "--json"])
    if "No JSON data" in text and not failure:
        return Found([])
    documents, words = _documents(text, failure)
    # Capitals differ between releases: "Card series", "Card Series".
    answer = {name: {key.lower(): value for key, value in entry.items()} for name, entry in documents[0].items()}
    cards = sorted((name for name in answer if re.match(r"card\d+$", name)), key=lambda name: int(name[4:]))
    wanted = ("card series", "device name", "card model", "gfx version")
    models = [_said(answer[name], *wanted) or gpu_holders.UNKNOWN for name in cards]
    driver = _said(answer.get("system", {}), "driver version")
    return _answered(Found(models, driver, gpu_holders.amd(root, {}), None, words), failure)


def nvidia_smi(path: str, root: str, run: Run) -> Found:
    fields = "--query-gpu=index,name,driver_version,uuid"
    text, failure = said_by(run, [path, fields, "--format=csv,noheader"])
    rows, words = _rows(text, 4)
    if not rows and not words and "No devices were found" in text:
        return Found([])  # With any exit code.
    if not rows and words and not failure:
        raise ToolError("it printed: %s" % shortened(words))
    rows.sort(key=lambda row: int(row[0]))
    uuids = [row[3] for row in rows]
    index_of = {uuid: index for index, uuid in enumerate(uuids)}
    held: Dict[int, List[int]] = {}
    if rows:
        for pid, uuid in _rows(said_by(run, [path, _APPS, "--format=csv,noheader"])[0], 2)[0]:
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


def find(root: str, name: str) -> Optional[str]:
    """Return the path of a tool; None where it is not installed."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), os.path.join(root, "opt/rocm/bin")])
    return executables.which(name, path)


def said_by(run: Run, argv: Sequence[str]) -> Tuple[str, Optional[Exception]]:
    """Return what a tool printed, and its failure where it failed after that."""
    import subprocess

    try:
        return run(argv), None
    except subprocess.CalledProcessError as error:
        return error.stdout or "", error


def _documents(text: str, failure: Optional[Exception]) -> Tuple[List[Any], str]:
    """Parse every JSON document in a tool's output; also return the words before and between them."""
    found: List[Any] = []
    words, place = [], 0
    for start in re.finditer(r"^\s*[\[{]", text, re.MULTILINE):
        begin = start.end() - 1
        if begin < place:
            continue
        try:
            document, end = json.JSONDecoder().raw_decode(text, begin)
        except (ValueError, RecursionError):
            continue
        found.append(document)
        words.append(text[place:begin])
        place = end
    if not found:
        raise failure or ToolError("no JSON in what it printed: %s" % shortened(text))
    return found, " ".join([*words, text[place:]]).strip()


def _rows(text: str, width: int) -> Tuple[List[List[str]], str]:
    """Parse CSV into rows of ``width`` fields that begin with a number; all other lines are the tool's words."""
    rows, words = [], []
    for line in text.splitlines():
        fields = [field.strip() for field in line.split(",")]
        # A GPU with "[GPU is lost]" for its name cannot compute.
        if len(fields) == width and re.fullmatch("[0-9]{1,9}", fields[0]) and not fields[1].startswith(("[", "ERR")):
            rows.append(fields)
        elif line.strip() and line.strip() != "No devices were found":
            words.append(line)
    return rows, " ".join(words)


def _said(entry: Dict[str, Any], *names: str) -> Optional[str]:
    """Return the first of several values that is known."""
    values = (str(entry.get(name) or "").strip() for name in names)
    return next((value for value in values if value and value != "N/A"), None)


def reason(error: Exception) -> str:
    """Return why a tool gave no answer."""
    import subprocess

    if isinstance(error, subprocess.TimeoutExpired):
        return "no answer within %g s" % TOOL_SECONDS
    if isinstance(error, subprocess.CalledProcessError):
        words = shortened("%s %s" % (error.stdout or "", error.stderr or ""))
        return "exit code %d%s" % (error.returncode, ": " + words if words else "")
    if isinstance(error, OSError):
        return "could not be started: %s" % plain_text.reason(error)
    if isinstance(error, json.JSONDecodeError) or not isinstance(error, ValueError):
        return "unexpected output (%s)" % error
    return str(error)


def shortened(text: str) -> str:
    """Return the beginning of a tool's words, on one line."""
    return " ".join(text.split())[:_WORDS_CHARACTERS]


TOOLS: Tuple[Tuple[str, str, Callable[[str, str, Run], Found]], ...] = (
    ("amd-smi", "amd", amd_smi),
    ("rocm-smi", "amd", rocm_smi),
    ("nvidia-smi", "nvidia", nvidia_smi),
)

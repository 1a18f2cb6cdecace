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
import grp
import json
import os
import pwd
import re
import signal
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils import _program

TOOL_SECONDS = 5.0
KILLED_SECONDS = 0.5
_KFD = "sys/class/kfd/kfd"
_NVIDIA = "proc/driver/nvidia"
_UNKNOWN = "unknown"
_PERMISSION = re.compile("permission|denied|group", re.IGNORECASE)
_PCI = r"[0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]"
# They hold every NVIDIA GPU for ever and compute nothing; as the kernel cuts the name, at 15 characters.
_WATCHERS = ("nvidia-persiste", "nv-hostengine", "dcgm-exporter")

_WORDS_CHARACTERS = 200

Run = Callable[[Sequence[str]], Optional[str]]


class Found(NamedTuple):
    """
    What one way to look found.

    ``models`` are one a GPU in order; ``more`` are facts that are there only when there is something to say, and
    ``words`` what a tool said beside its answer.
    """

    models: List[str]
    driver: Optional[str] = None
    holders: Sequence[Dict[str, Any]] = ()
    more: Optional[Dict[str, Any]] = None
    words: str = ""


class ToolError(Exception):
    """A tool gave no answer that can be used; the text says how, in its own words where it has some."""


def run_bounded(argv: Sequence[str]) -> str:
    """
    Run a tool and give its standard output.

    Raises:
        OSError: If it cannot be started.
        subprocess.SubprocessError: If it gives no answer within ``TOOL_SECONDS``, or fails; then with what it said.
    """
    import subprocess  # Only where there is a tool to ask: its import takes as long as all the rest.

    pipe = subprocess.PIPE
    with open(os.devnull, "rb") as null:
        tool = subprocess.Popen(argv, stdin=null, stdout=pipe, stderr=pipe, start_new_session=True)
    try:
        text, errors = (each.decode("utf-8", "replace") for each in tool.communicate(timeout=TOOL_SECONDS))
    except subprocess.TimeoutExpired:
        os.killpg(tool.pid, signal.SIGKILL)
        # It is waited for only briefly: a tool that hangs in the driver cannot even be killed.
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
        (indices into ``models``). Where there is something to say, ``note`` (which tool complained, and how),
        ``uuids`` (one a GPU), ``dead`` (GPUs that do not answer) and ``denied`` (devices that this user may not
        open: ``path``, and ``group``, None where the device is missing).
        A user without privileges sees the holders of NVIDIA GPUs among own processes only.
    """
    for vendor, look in (("amd", _amd_kernel), ("nvidia", _nvidia_kernel)):
        found = look(root, run)
        if found.models or (found.more or {}).get("dead"):
            return _result(vendor, "kernel", found)
    notes: List[str] = []
    for name, vendor, ask in _TOOLS:
        path = _find(root, name)
        if path is None:
            continue
        try:
            found = ask(path, root, run)
        except ToolError as error:
            notes.append("%s: %s" % (name, error))
            continue
        except Exception as error:  # noqa: BLE001
            # Whatever a tool prints in place of what its documentation says, it is a note and no crash.
            notes.append("%s: %s" % (name, _reason(error)))
            continue
        if found.words and (found.models or _PERMISSION.search(found.words)):
            notes.append("%s: %s" % (name, _shortened(found.words)))
        if found.models:
            return _result(vendor, name, found, notes)
    return _result(None, None, Found([]), notes)


def unknown(why: str) -> Dict[str, Any]:
    """Give the facts of a node whose GPUs could not be looked at."""
    return _result(None, None, Found([]), [why])


def _result(vendor: Optional[str], source: Optional[str], found: Found, notes: Sequence[str] = ()) -> Dict[str, Any]:
    result = {
        "vendor": vendor,
        "count": len(found.models),
        "models": found.models,
        "driver": found.driver,
        "source": source,
        "holders": list(found.holders),
        **{name: value for name, value in (found.more or {}).items() if value},
    }
    return dict(result, note="; ".join(notes)) if notes else result


def _shortened(text: str) -> str:
    return " ".join(text.split())[:_WORDS_CHARACTERS]


def _amd_kernel(root: str, _: Run) -> Found:
    """Read KFD's topology, in which a node with SIMD units is a GPU; nodes without are processors."""
    nodes = [(node, _properties(node)) for node in _numbered(os.path.join(root, _KFD, "topology/nodes"))]
    found = [(node, properties) for node, properties in nodes if properties.get("simd_count", "0") != "0"]
    # A processor with a GPU in it draws a screen where there are others, and is the GPU where it is the only one.
    real = [entry for entry in found if entry[1].get("cpu_cores_count", "0") == "0"] or found
    if not real:
        return Found([])
    index_of = {_read(os.path.join(node, "gpu_id")) or "": index for index, (node, _) in enumerate(real)}
    minors = [properties.get("drm_render_minor", "") for _, properties in real]
    devices = ["dev/kfd", *("dev/dri/renderD" + minor for minor in minors if minor not in ("", "0", "-1"))]
    return Found(
        [_amd_model(root, node, properties) for node, properties in real],
        _read(os.path.join(root, "sys/module/amdgpu/version")),
        _amd_holders(root, index_of),
        {"denied": _denied(root, devices, must_exist=True)},
    )


def _properties(node: str) -> Dict[str, str]:
    lines = [line.split(None, 1) for line in (_read(os.path.join(node, "properties")) or "").splitlines()]
    return {line[0]: line[1] for line in lines if len(line) == 2}


def _denied(root: str, devices: Sequence[str], must_exist: bool) -> List[Dict[str, Any]]:
    """
    List devices that this user may not open.

    Args:
        must_exist: Whether a device that is missing is one of them: containers see the kernel's view of all GPUs,
            and have the devices of those that they were given.
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


def _nvidia_kernel(root: str, run: Run) -> Found:
    """Read the driver's directory, one entry a GPU named by PCI address, which is nvidia-smi's order."""
    all_of_them = [_nvidia_gpu(path) for path in sorted(glob.glob(os.path.join(root, _NVIDIA, "gpus/*/information")))]
    listed = [known for known in all_of_them if known.get("GPU Excluded") != "Yes"]
    silent = [known for known in listed if "?" in known.get("GPU UUID", "")]
    dead = _dead(silent, listed, root, run) if silent else []
    real = [known for known in listed if known not in dead]
    minors = [known.get("Device Minor", str(index)) for index, known in enumerate(real)]
    index_of = {"/dev/nvidia" + minor: index for index, minor in enumerate(minors)}
    uuids = [known.get("GPU UUID", "") for known in real]
    version = re.search(r"Kernel Module(?: for \S+)?\s+(\d[\d.]*)", _read(os.path.join(root, _NVIDIA, "version")) or "")
    return Found(
        [known.get("Model") or _UNKNOWN for known in real],
        version.group(1) if version else None,
        _nvidia_holders(root, index_of) if real else [],
        {
            "uuids": uuids if all(uuids) and not silent else [],
            "dead": ["%s (%s)" % (known["address"], known.get("Model") or _UNKNOWN) for known in dead],
            "denied": _denied(root, ["dev/nvidiactl", *(device[1:] for device in index_of)], False) if real else [],
        },
    )


def _nvidia_gpu(path: str) -> Dict[str, str]:
    lines = [line.partition(":") for line in (_read(path) or "").splitlines()]
    known = {name.strip(): value.strip() for name, _, value in lines}
    return {**known, "address": os.path.basename(os.path.dirname(path)).lower()}


def _dead(silent: List[Dict[str, str]], listed: List[Dict[str, str]], root: str, run: Run) -> List[Dict[str, str]]:
    """
    Tell GPUs that are dead from those that only were not used yet, both of which have no UUID.

    nvidia-smi wakes them up, and does not list what is dead. Without its answer, one that alone has no UUID is dead.
    """
    path, alive = _find(root, "nvidia-smi"), ""
    if path is not None:
        try:
            alive, _ = _said_by(run, [path, "--query-gpu=pci.bus_id", "--format=csv,noheader"])
        except Exception:  # noqa: BLE001  the kernel's word stands
            alive = ""
    # It writes eight digits of the domain, the kernel four.
    addresses = {line.strip().lower()[-12:] for line in alive.splitlines() if re.fullmatch(_PCI, line.strip())}
    if addresses:
        return [known for known in silent if known["address"][-12:] not in addresses]
    return silent if len(silent) < len(listed) else []


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
    text, failure = _said_by(run, [path, "static", "--asic", "--board", "--driver", "--json"])
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
        models.append(_first(_said(board, "product_name"), _said(asic, "market_name", "target_graphics_version")))
        # The driver's version was called otherwise once.
        drivers.append(_said(driver, "version", "driver_version"))
    return _answered(Found(models, drivers[0] if drivers else None, _amd_holders(root, {}), None, words), failure)


def _part(entry: Dict[str, Any], name: str) -> Dict[str, Any]:
    """Give a part of what a tool says of a GPU; it is a text such as N/A where a permission was missing."""
    part = entry.get(name)
    return part if isinstance(part, dict) else {}


def _ask_rocm_smi(path: str, root: str, run: Run) -> Found:
    text, failure = _said_by(run, [path, "--showproductname", "--showdriverversion", "--json"])
    if "No JSON data" in text and not failure:
        return Found([])
    documents, words = _documents(text, failure)
    # Capitals differ between releases: "Card series", "Card Series".
    answer = {name: {key.lower(): value for key, value in entry.items()} for name, entry in documents[0].items()}
    cards = sorted((name for name in answer if re.match(r"card\d+$", name)), key=lambda name: int(name[4:]))
    wanted = ("card series", "device name", "card model", "gfx version")
    models = [_first(_said(answer[name], *wanted)) for name in cards]
    driver = _said(answer.get("system", {}), "driver version")
    return _answered(Found(models, driver, _amd_holders(root, {}), None, words), failure)


def _ask_nvidia_smi(path: str, root: str, run: Run) -> Found:
    fields = "--query-gpu=index,name,driver_version,uuid"
    text, failure = _said_by(run, [path, fields, "--format=csv,noheader"])
    rows, words = _rows(text, 4)
    if not rows and not words and "No devices were found" in text:
        return Found([])  # Whatever exit code that is.
    if not rows and words and not failure:
        raise ToolError("it printed: %s" % _shortened(words))
    rows.sort(key=lambda row: int(row[0]))
    uuids = [row[3] for row in rows]
    index_of = {uuid: index for index, uuid in enumerate(uuids)}
    held: Dict[int, List[int]] = {}
    if rows:
        for pid, uuid in _rows(_said_by(run, [path, _APPS, "--format=csv,noheader"])[0], 2)[0]:
            if uuid in index_of:
                held.setdefault(int(pid), []).append(index_of[uuid])
    holders = [entry for pid in sorted(held) for entry in _holder(root, pid, sorted(held[pid]))]
    driver = rows[0][2] if rows else None
    return _answered(Found([row[1] for row in rows], driver, holders, {"uuids": uuids}, words), failure)


_APPS = "--query-compute-apps=pid,gpu_uuid"


def _answered(found: Found, failure: Optional[Exception]) -> Found:
    """Take an answer although its tool failed, with how it did; a failure without an answer is one."""
    if failure is None:
        return found
    if not found.models:
        raise failure
    words = found.words or "".join(str(getattr(failure, "stderr", None) or ""))
    return found._replace(words="exit code %s: %s" % (getattr(failure, "returncode", "?"), words))


_TOOLS: Tuple[Tuple[str, str, Callable[[str, str, Run], Found]], ...] = (
    ("amd-smi", "amd", _ask_amd_smi),
    ("rocm-smi", "amd", _ask_rocm_smi),
    ("nvidia-smi", "nvidia", _ask_nvidia_smi),
)


def _find(root: str, name: str) -> Optional[str]:
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), os.path.join(root, "opt/rocm/bin")])
    found: Optional[str] = _program.which(name, path)
    return found


def _said_by(run: Run, argv: Sequence[str]) -> Tuple[str, Optional[Exception]]:
    """Give what a tool printed, and how it failed where it printed something all the same."""
    import subprocess

    try:
        text = run(argv)
    except subprocess.CalledProcessError as error:
        return _text(error.stdout), error
    if text is None:
        raise ToolError("no answer")
    return text, None


def _text(output: Any) -> str:
    return output.decode("utf-8", "replace") if isinstance(output, bytes) else str(output or "")


def _documents(text: str, failure: Optional[Exception]) -> Tuple[List[Any], str]:
    """Decode every JSON document in what a tool printed; also give the words before and between them."""
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
        raise failure or ToolError("no JSON in what it printed: %s" % _shortened(text))
    return found, " ".join([*words, text[place:]]).strip()


def _rows(text: str, width: int) -> Tuple[List[List[str]], str]:
    """Split CSV into rows of ``width`` fields that begin with a number; all other lines are the tool's words."""
    rows, words = [], []
    for line in text.splitlines():
        fields = [field.strip() for field in line.split(",")]
        # "[GPU is lost]" in place of a name is no GPU that computes.
        if len(fields) == width and re.fullmatch("[0-9]{1,9}", fields[0]) and not fields[1].startswith(("[", "ERR")):
            rows.append(fields)
        elif line.strip() and line.strip() != "No devices were found":
            words.append(line)
    return rows, " ".join(words)


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
        words = _shortened("%s %s" % (_text(error.stdout), _text(error.stderr)))
        return "exit code %d%s" % (error.returncode, ": " + words if words else "")
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

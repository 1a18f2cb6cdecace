# SPDX-License-Identifier: Apache-2.0
"""
Judge what nodes are like beside each other: machines, names, GPUs, versions, limits, clocks.

Every judge takes hosts with their facts and returns findings; ``catalog`` says which of them stop a
launch. Pure; private to the collection.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, TypeVar

from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem, problem
from ansible_collections.madctl.multinode.plugins.module_utils._common.fact_shapes import (
    Facts,
    Gpus,
    Holder,
    Nodes,
    Report,
    Times,
)
from ansible_collections.madctl.multinode.plugins.module_utils._plan import mpi_runner, network_cards

Known = TypeVar("Known")

GIB = 1 << 30
DISK_FULL_BYTES, DISK_FULL_INODES = 16 << 20, 64
NOFILE_LEAST = 4096
# Screens, desktops and watchers, by the names of their programs; the kernel cuts names at 15 characters.
_DISPLAYS = frozenset(
    name[:length]
    for name in (
        *("X", "Xorg", "Xorg.bin", "Xwayland", "Xvnc", "Xtigervnc", "weston", "sway", "hyprland", "Hyprland"),
        *("gnome-shell", "gnome-remote-desktop-daemon", "gnome-session-binary", "gdm", "gdm3", "gdm-x-session"),
        *("gdm-wayland-session", "mutter", "mutter-x11-frames", "kwin", "kwin_x11", "kwin_wayland", "plasmashell"),
        *("ksmserver", "sddm", "sddm-greeter", "lightdm", "lightdm-gtk-greeter", "cinnamon", "xfwm4", "compiz"),
        *("marco", "muffin", "cosmic-comp", "systemd-logind", "Xdcv", "dcvxgl", "nxagent"),
        *("nvidia-persistenced", "nv-hostengine", "dcgm-exporter", "dcgmi", "nvidia-powerd", "nvtop", "nvidia-smi"),
        *("rocm-smi", "amd-smi", "rdcd", "amdgpu_top", "device-metrics-exporter"),
    )
    for length in (15, 99)
)
CLOCK_ERROR_SECONDS, CLOCK_WARNING_SECONDS = 30.0, 1.0


def odd(code: str, nodes: Sequence[Tuple[str, Known]], value: Callable[[Known], Any], what: str) -> List[Problem]:
    """Report nodes whose value is not that of most nodes; nodes without a value are not judged."""
    values = [(host, value(facts)) for host, facts in nodes]
    known = [entry for _, entry in values if entry is not None]
    if len(set(known)) < 2:
        return []
    usual = Counter(known).most_common(1)[0][0]
    return [
        problem(code, host, "%s %s, most nodes have %s" % (what, entry, usual))
        for host, entry in values
        if entry not in (None, usual)
    ]


def machines(nodes: Nodes) -> List[Problem]:
    """Find the same machine under two names, and nodes that another run holds."""
    seen: Dict[Any, str] = {}
    found = []
    for host, facts in nodes:
        identity = (facts["machine_id"], facts["boot_id"])
        if identity in seen:
            found.append(problem("DUPLICATE_MACHINE", host, "is the same machine as %s" % seen[identity]))
        seen.setdefault(identity, host)
        if facts["locked_by"]:
            found.append(problem("NODE_BUSY", host, "run %s is here" % facts["locked_by"]))
    return found


def names(nodes: Nodes) -> List[Problem]:
    """Find nodes that take their own name for loopback."""
    found = []
    for host, facts in nodes if len(nodes) > 1 else []:
        addresses = facts["names"] or []
        if addresses and all(_is_loopback(address) for address in addresses):
            message = "its own name %s resolves to %s" % (facts["hostname"], addresses[0])
            found.append(problem("NAME_IS_LOOPBACK", host, message))
    return found


def _is_loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1"


def processes(nodes: Nodes, wanted: str, policy: str) -> Tuple[List[int], List[Problem]]:
    """
    Find the number of processes of every node.

    Args:
        wanted: A number, ``auto`` or ``gpu``.
        policy: What unequal numbers of GPUs mean: ``same`` is an error, ``min`` takes the smallest, ``per-node``
            takes each node's own.
    """
    if wanted not in ("auto", "gpu"):
        numbers = [int(wanted)] * len(nodes)
        return numbers, too_few(nodes, numbers)
    counts = [(host, facts["gpus"]["count"], hidden(facts)) for host, facts in nodes if is_counted(facts)]
    if not any(count for _, count, _ in counts):
        if wanted == "gpu":
            return [1] * len(nodes), [problem("GPU_MISSING", host, "no GPU found" + why) for host, _, why in counts]
        # Of what could not be counted, something else is said.
        whole = len(counts) == len(nodes)
        why = counts[0][2] if counts else ""
        return [1] * len(nodes), [problem("NO_GPU", None, "no GPU on any node: 1 process a node" + why)] * whole
    most = Counter(count for _, count, _ in counts).most_common(1)[0][0]
    least = min(count for _, count, _ in counts)
    if least and policy == "per-node":
        return [facts["gpus"]["count"] or 1 for _, facts in nodes], []
    if least and policy == "min":
        return [least] * len(nodes), []
    return [most or 1] * len(nodes), [
        problem("GPU_COUNT_DIFFERS", host, "%d GPUs, most nodes have %d%s" % (count, most, why))
        for host, count, why in counts
        if count != most
    ]


def is_counted(facts: Facts) -> bool:
    """Tell whether the number of a node's GPUs is known: a tool that is there and fails says nothing of it."""
    return bool(facts["gpus"]["count"] or facts["gpus"].get("hidden_by") or not facts["gpus"].get("note"))


def hidden(facts: Facts) -> str:
    """Name the variables that hide GPUs of a node from the job, to put behind a number."""
    names = facts["gpus"].get("hidden_by")
    return " (by %s)" % " and ".join(names) if names else ""


def too_few(nodes: Nodes, numbers: Sequence[int]) -> List[Problem]:
    """Find nodes with fewer GPUs than processes; where no node has any, processes compute without."""
    some = any(facts["gpus"]["count"] for _, facts in nodes)
    return [
        problem("GPU_TOO_FEW", host, "%d GPUs for %d processes%s" % (facts["gpus"]["count"], number, hidden(facts)))
        for (host, facts), number in zip(nodes, numbers)
        if some and facts["gpus"]["count"] < number and is_counted(facts)
    ]


def gpus(nodes: Nodes) -> List[Problem]:
    """Compare GPUs, and find processes that hold them."""
    found = odd("GPU_VENDOR_DIFFERS", nodes, lambda facts: facts["gpus"]["vendor"], "GPUs of")
    found += odd("GPU_DRIVER_DIFFERS", nodes, lambda facts: facts["gpus"].get("driver"), "GPU driver")
    found += odd("GPU_MODEL_DIFFERS", nodes, _model, "GPUs are")
    for host, facts in nodes:
        for holder in facts["gpus"].get("holders", []):
            age = "" if holder["age_seconds"] is None else " for %s" % duration(holder["age_seconds"])
            run = " of run %s" % holder["run_id"] if holder["run_id"] else ""
            what = "process %d (%s) of %s%s" % (holder["pid"], holder["command"], holder["user"], run)
            code = "GPU_DISPLAY" if _is_display(holder) else "GPU_BUSY"
            found.append(problem(code, host, "%s holds GPUs%s" % (what, age)))
        found += [problem(*entry) for entry in _own_faults(host, facts["gpus"], is_counted(facts))]
    return found


def _own_faults(host: str, gpus: Gpus, counted: bool) -> List[Tuple[str, ...]]:
    """List what is wrong with a node's GPUs by themselves: code, host, message, and a remedy of its own."""
    found: List[Tuple[str, ...]] = []
    note = gpus.get("note")
    if note:
        found.append(("GPU_UNKNOWN" if counted else "GPU_TOOL_FAILED", host, note))
    for name in gpus.get("dead") or []:
        found.append(("GPU_DEAD", host, "GPU %s does not answer its driver" % name))
    for entry in gpus.get("denied") or []:
        if entry["group"] is None:
            found.append(("GPU_FORBIDDEN", host, "there is no %s" % entry["path"], "give the node that device"))
        else:
            remedy = "add the user to group %s, and log in again" % entry["group"]
            found.append(("GPU_FORBIDDEN", host, "may not open %s" % entry["path"], remedy))
    models = Counter(gpus.get("models") or [])
    if len(models) > 1:
        text = ", ".join("%d × %s" % (count, model) for model, count in sorted(models.items()))
        found.append(("GPU_MIXED", host, "GPUs of different models in one node: %s" % text))
    return found


def _is_display(holder: Holder) -> bool:
    """Tell whether a process draws a screen, or watches GPUs, and computes nothing."""
    words = holder["command"].split()
    return bool(words) and words[0].rpartition("/")[2].rstrip(":") in _DISPLAYS


def _model(facts: Facts) -> Optional[str]:
    models = Counter(facts["gpus"].get("models", []))
    return ", ".join("%d × %s" % (count, model) for model, count in sorted(models.items())) or None


def duration(seconds: float) -> str:
    """Write a length of time as people say it."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return "%d %s" % (seconds // size, unit)
    return "%d s" % seconds


def versions(nodes: Nodes, reports: Sequence[Optional[Report]], shared: bool) -> List[Problem]:
    """
    Compare versions.

    Args:
        reports: What the job's Python says of itself on each node, in the order of ``nodes``.
        shared: Whether nodes share storage, where numbers of users must agree.
    """
    pairs = [(host, report) for (host, _), report in zip(nodes, reports) if report]

    def build(report: Report) -> Optional[str]:
        parts = report.get("torch_build") or {}
        names_of = (("version", ""), ("cuda", "CUDA "), ("hip", "ROCm "))
        return ", ".join(name + parts[key] for key, name in names_of if key in parts) or None

    found = odd("TORCH_DIFFERS", pairs, build, "torch")
    for package in ("nvidia_nccl_cu11", "nvidia_nccl_cu12", "nvidia_nccl_cu13"):
        found += odd("NCCL_DIFFERS", pairs, _version_of(package), package)
    found += odd("PYTHON_VERSION_DIFFERS", pairs, lambda report: report["version"], "Python")
    for package in ("numpy", "mpi4py", "madengine"):
        found += odd("PACKAGE_DIFFERS", pairs, _version_of(package), package)
    found += odd("MPI_DIFFERS", nodes, _mpi_of, "MPI is")
    found += odd("KERNEL_DIFFERS", nodes, lambda facts: facts["kernel"], "kernel")
    code = "USER_DIFFERS" if shared else "USER_NUMBER_DIFFERS"
    return found + odd(code, nodes, _user, "user and group")


def _version_of(package: str) -> Callable[[Report], Optional[str]]:
    return lambda report: report.get("packages", {}).get(package)


def _user(facts: Facts) -> str:
    return "%d:%d" % (facts["user_id"], facts["group_id"])


def _mpi_of(facts: Facts) -> Optional[str]:
    mpi = mpi_runner.recognise(facts["mpi"])
    return None if mpi is None else str(mpi)


def fingerprint(facts: Facts, report: Optional[Report]) -> Dict[str, Any]:
    """Sum up what a node is, for a person or a program that compares nodes; None where it is not known."""
    packages = report.get("packages", {}) if report else {}
    build, gpus_of = (report.get("torch_build") or {}) if report else {}, facts["gpus"]
    return {
        "python": report["version"] if report else None,
        "torch": build.get("version"),
        "cuda": build.get("cuda"),
        "rocm": build.get("hip"),
        "nccl": next((packages[name] for name in sorted(packages) if name.startswith("nvidia_nccl")), None),
        "mpi": _mpi_of(facts),
        "madengine": packages.get("madengine"),
        "kernel": facts["kernel"],
        "user": _user(facts),
        "gpus": {"vendor": gpus_of["vendor"], "count": gpus_of["count"], "driver": gpus_of.get("driver")},
        "gpu_models": _model(facts),
        "limits": facts["limits"],
        "space": facts["space"],
        "clock_offset_seconds": round(offset(facts["time"])[1], 3),
        "clock_uncertainty_seconds": round(uncertainty(facts["time"]), 3),
        "entry_sha256": facts["files"].get("entry_sha256") if facts["files"] else None,
        "nccl_files": sorted(facts["nccl_files"] or {}),
    }


def limits(nodes: Nodes) -> List[Problem]:
    """Find nodes that run out of something."""
    found = []
    for host, facts in nodes:
        space, limit = facts["space"], facts["limits"]
        if space is None:
            found.append(problem("RUN_DIR_UNWRITABLE", host, "the run directory does not answer"))
        elif not space["run_writable"]:
            found.append(problem("RUN_DIR_UNWRITABLE", host, "%s cannot be written" % space["run_base"]))
        elif space["run_free"] < DISK_FULL_BYTES or (space["run_inodes_free"] or GIB) < DISK_FULL_INODES:
            message = "%s has %s and %s inodes free" % (
                space["run_base"],
                size(space["run_free"]),
                space["run_inodes_free"],
            )
            found.append(problem("DISK_FULL", host, message))
        elif space["run_free"] < GIB:
            found.append(problem("DISK_LOW", host, "%s has %s free" % (space["run_base"], size(space["run_free"]))))
        if space and space["shm_free"] is not None and space["shm_free"] < GIB:
            found.append(problem("SHM_LOW", host, "/dev/shm has %s free" % size(space["shm_free"])))
        if facts["gpus"]["count"] and limit["memlock"] is not None:
            found.append(problem("MEMLOCK_LOW", host, "at most %s can be locked" % size(limit["memlock"])))
        if limit["nofile"] is not None and limit["nofile"] < NOFILE_LEAST:
            found.append(problem("NOFILE_LOW", host, "at most %d open files" % limit["nofile"]))
    return found


def size(number: int) -> str:
    """Write a number of bytes as people say it."""
    for power, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if number >= 1 << power:
            return "%.3g %s" % (number / (1 << power), unit)
    return "%d B" % number


def clocks(nodes: Nodes) -> List[Problem]:
    """Find clocks that are certainly off: what the round trip could explain is not held against a node."""
    found = []
    for host, facts in nodes:
        least, center = offset(facts["time"])
        if least > CLOCK_WARNING_SECONDS:
            code = "CLOCK_SKEWED" if least > CLOCK_ERROR_SECONDS else "CLOCK_OFFSET"
            way = "ahead" if center > 0 else "behind"
            found.append(problem(code, host, "its clock is %.1f s %s" % (abs(center), way)))
    return found


def offset(time: Times) -> Tuple[float, float]:
    """
    Bound a node's clock offset.

    Args:
        time: Seconds: ``begun`` and ``ended`` by the node's clock, ``sent`` and ``received`` by ours.

    Returns:
        The least offset that is certain, without sign, and the middle of what is possible, with sign.
    """
    if "sent" not in time:
        return 0.0, 0.0
    low, high = time["ended"] - time["received"], time["begun"] - time["sent"]
    certain = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
    return certain, (low + high) / 2


def lead(time: Times) -> float:
    """
    Estimate how many seconds a node's clock is ahead of ours.

    From the answer's way alone: the question's way may hold a whole handshake.
    """
    return time["ended"] - time["received"] if "received" in time else 0.0


def uncertainty(time: Times) -> float:
    """Give the half of what a clock's offset could be between, in seconds: the round trip's share."""
    if "sent" not in time:
        return 0.0
    return abs((time["begun"] - time["sent"]) - (time["ended"] - time["received"])) / 2


def network(nodes: Nodes, chosen: Sequence[network_cards.Candidate]) -> List[Problem]:
    """Compare the chosen interfaces, and find NCCL files that exclude one of them."""
    own = {host: candidate for (host, _), candidate in zip(nodes, chosen)}
    mtu = {
        host: next((entry["mtu"] for entry in facts["interfaces"] if entry["name"] == own[host].interface), None)
        for host, facts in nodes
    }
    found = odd("MTU_DIFFERS", list(mtu.items()), lambda number: number, "MTU")
    for host, facts in nodes:
        for path, text in (facts["nccl_files"] or {}).items():
            for line in text.splitlines():
                name, equals, value = (part.strip() for part in line.partition("="))
                excluded = [card.interface for card in own[host].cards if not _takes(value, card.interface)]
                if equals and name == "NCCL_SOCKET_IFNAME" and excluded:
                    message = "%s sets NCCL_SOCKET_IFNAME=%s, chosen is %s" % (path, value, ", ".join(excluded))
                    found.append(problem("NCCL_CONF", host, message))
    return found


def _takes(value: str, interface: str) -> bool:
    """Tell whether NCCL takes an interface: a list of prefixes, exact after ``=``, the others after ``^``."""
    if len(value) < 2:
        return True  # It reads no shorter one.
    names = [part.partition(":")[0] for part in value.lstrip("^=").split(",")]
    exact = value.startswith(("=", "^="))
    named = any(name == interface if exact else interface.startswith(name) for name in names if name)
    return named != value.startswith("^")

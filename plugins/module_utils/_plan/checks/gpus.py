# SPDX-License-Identifier: Apache-2.0
"""Choose every node's number of ranks by its GPUs, and find what is wrong with them. Private to the collection."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import List, Optional, Sequence, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import plain_text
from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem, problem
from ansible_collections.madctl.multinode.plugins.module_utils._common.fact_shapes import Facts, Gpus, Holder, Nodes
from ansible_collections.madctl.multinode.plugins.module_utils._plan.case import Case, Choices, Chosen
from ansible_collections.madctl.multinode.plugins.module_utils._plan.comparison import odd, usual

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
_SAME_SLOTS = "use the same number everywhere, or set --nproc-per-node"


def choose(case: Case, choices: Choices) -> Chosen:
    """Choose numbers of ranks: those of a host list, otherwise the requested number, otherwise the number of GPUs."""
    request, slots = case.request, case.request.slots
    if request.nproc_per_node == "auto" and any(slots):
        most = max(set(slots), key=slots.count) or 0
        numbers = [count or 1 for count in slots] if case.ranks.takes_unequal else [most] * len(slots)
        text = "%s in the host list, most nodes have %d"
        found = [
            problem(
                "SLOTS_DIFFER",
                host,
                text % (plain_text.count(count, "slot") if count else "no slots", most),
                _SAME_SLOTS,
            )
            for host, count in zip(case.hosts, slots)
            if count != most and not case.ranks.takes_unequal
        ]
        found += too_few(case.nodes, numbers)
    else:
        numbers, found = processes(case.nodes, request.nproc_per_node, request.gpus, case.job.without_gpus)
    return replace(choices, nprocs=numbers), found + faults(case.nodes)


def processes(
    nodes: Nodes, wanted: str, policy: str, without: Optional[Tuple[str, str]] = None
) -> Tuple[List[int], List[Problem]]:
    """
    Choose the number of processes of every node.

    Args:
        wanted: A number, ``auto`` or ``gpu``.
        policy: What to do when nodes have different numbers of GPUs: ``same`` is an error, ``min`` uses the smallest,
            ``per-node`` uses each node's own.
        without: Message and remedy if no node has a GPU; None for the usual message.
    """
    if wanted not in ("auto", "gpu"):
        numbers = [int(wanted)] * len(nodes)
        return numbers, too_few(nodes, numbers)
    counts = [(host, facts["gpus"]["count"], _hidden(facts)) for host, facts in nodes if _is_counted(facts["gpus"])]
    if not any(count for _, count, _ in counts):
        if wanted == "gpu":
            return [1] * len(nodes), [problem("GPU_MISSING", host, "no GPU found" + why) for host, _, why in counts]
        message, remedy = without or ("no GPU on any node: 1 process per node" + (counts[0][2] if counts else ""), None)
        # GPUs that could not be counted are a problem of their own.
        return [1] * len(nodes), [problem("NO_GPU", None, message, remedy)] * (len(counts) == len(nodes))
    most, least = usual([count for _, count, _ in counts]), min(count for _, count, _ in counts)
    if least and policy == "per-node":
        return [facts["gpus"]["count"] or 1 for _, facts in nodes], []
    if least and policy == "min":
        return [least] * len(nodes), []
    return [most or 1] * len(nodes), [
        problem(
            "GPU_COUNT_DIFFERS", host, "%s, most nodes have %d%s" % (plain_text.count(count, "GPU"), most or 0, why)
        )
        for host, count, why in counts
        if count != most
    ]


def _is_counted(gpus: Gpus) -> bool:
    """Return whether the number of a node's GPUs is known: if a vendor's tool fails, it is not."""
    return bool(gpus["count"] or gpus.get("hidden_by") or not gpus.get("note"))


def _short(gpus: int, processes: int) -> str:
    return "%s for %s" % (plain_text.count(gpus, "GPU"), plain_text.count(processes, "process", "processes"))


def _hidden(facts: Facts) -> str:
    """Name the variables that hide GPUs of a node from the job, worded to follow a number."""
    names = facts["gpus"].get("hidden_by")
    return " (by %s)" % " and ".join(names) if names else ""


def too_few(nodes: Nodes, numbers: Sequence[int]) -> List[Problem]:
    """Return nodes with fewer GPUs than processes; if no node has any, processes compute without GPUs."""
    some = any(facts["gpus"]["count"] for _, facts in nodes)
    return [
        problem("GPU_TOO_FEW", host, _short(facts["gpus"]["count"], number) + _hidden(facts))
        for (host, facts), number in zip(nodes, numbers)
        if some and facts["gpus"]["count"] < number and _is_counted(facts["gpus"])
    ]


def faults(nodes: Nodes) -> List[Problem]:
    """Compare GPUs, find processes that use them, and find problems of each node's own GPUs."""
    found = odd("GPU_VENDOR_DIFFERS", nodes, lambda facts: facts["gpus"]["vendor"], "GPUs of")
    found += odd("GPU_DRIVER_DIFFERS", nodes, lambda facts: facts["gpus"].get("driver"), "GPU driver")
    found += odd("GPU_MODEL_DIFFERS", nodes, lambda facts: models_of(facts["gpus"]), "GPUs are")
    for host, facts in nodes:
        found += [_used(host, holder) for holder in facts["gpus"].get("holders", [])]
        found += [problem(code, host, message, remedy) for code, message, remedy in _own_faults(facts["gpus"])]
    return found


def _used(host: str, holder: Holder) -> Problem:
    age = "" if holder["age_seconds"] is None else " for %s" % duration(holder["age_seconds"])
    run = ", run %s" % holder["run_id"] if holder["run_id"] else ""
    who = "process %d (%s, user %s%s)" % (holder["pid"], holder["command"], holder["user"], run)
    return problem("GPU_DISPLAY" if _is_display(holder) else "GPU_BUSY", host, "GPUs in use%s by %s" % (age, who))


def _own_faults(gpus: Gpus) -> List[Tuple[str, str, Optional[str]]]:
    """Return the problems of a node's own GPUs: code, message, and perhaps a specific remedy."""
    note, models = gpus.get("note"), gpus.get("models") or []
    found: List[Tuple[str, str, Optional[str]]] = []
    if note:
        found.append(("GPU_UNKNOWN" if _is_counted(gpus) else "GPU_TOOL_FAILED", note, None))
    found += [("GPU_DEAD", "GPU %s does not answer its driver" % name, None) for name in gpus.get("dead") or []]
    for entry in gpus.get("denied") or []:
        if entry["group"] is None:
            found.append(("GPU_FORBIDDEN", "%s is missing" % entry["path"], "give the node that device"))
        else:
            remedy = "add the user to group %s, and log in again" % entry["group"]
            found.append(("GPU_FORBIDDEN", "no permission to open %s" % entry["path"], remedy))
    if len(set(models)) > 1:
        found.append(("GPU_MIXED", "GPUs of different models in one node: %s" % models_of(gpus), None))
    return found


def _is_display(holder: Holder) -> bool:
    """Return whether a process draws a screen or monitors GPUs, and does not compute."""
    words = holder["command"].split()
    return bool(words) and words[0].rpartition("/")[2].rstrip(":") in _DISPLAYS


def models_of(gpus: Gpus) -> Optional[str]:
    """Format the models of a node's GPUs with their numbers; None without any."""
    models = Counter(gpus.get("models") or [])
    return ", ".join("%d × %s" % (count, model) for model, count in sorted(models.items())) or None


def duration(seconds: float) -> str:
    """Format a duration for people."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return "%d %s" % (seconds // size, unit)
    return "%d s" % seconds

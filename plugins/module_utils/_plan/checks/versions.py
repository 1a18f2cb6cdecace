# SPDX-License-Identifier: Apache-2.0
"""Compare the versions that the job uses, and summarise the properties of a node. Pure; private to the collection."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem
from ansible_collections.madctl.multinode.plugins.module_utils._common.fact_shapes import Facts, Report
from ansible_collections.madctl.multinode.plugins.module_utils._plan.case import Case, Choices
from ansible_collections.madctl.multinode.plugins.module_utils._plan.checks import clock, gpus
from ansible_collections.madctl.multinode.plugins.module_utils._plan.comparison import odd
from ansible_collections.madctl.multinode.plugins.module_utils._plan.runners import mpirun


def judge(case: Case, choices: Choices) -> List[Problem]:
    """Return the differences; with shared storage, user ids have to agree."""
    nodes, pairs = case.nodes, [(host, report) for host, report in zip(case.hosts, choices.reports) if report]
    found = odd("TORCH_DIFFERS", pairs, _build, "torch")
    for package in ("nvidia_nccl_cu11", "nvidia_nccl_cu12", "nvidia_nccl_cu13"):
        found += odd("NCCL_DIFFERS", pairs, _version_of(package), package)
    found += odd("PYTHON_VERSION_DIFFERS", pairs, lambda report: report["version"], "Python")
    for package in ("numpy", "mpi4py", "madengine"):
        found += odd("PACKAGE_DIFFERS", pairs, _version_of(package), package)
    found += odd("MPI_DIFFERS", nodes, _mpi_of, "MPI is")
    found += odd("KERNEL_DIFFERS", nodes, lambda facts: facts["kernel"], "kernel")
    code = "USER_DIFFERS" if any(fact["mounts"] for fact in case.facts) else "USER_NUMBER_DIFFERS"
    return found + odd(code, nodes, _user, "user and group")


def _build(report: Report) -> Optional[str]:
    parts = report.get("torch_build") or {}
    names_of = (("version", ""), ("cuda", "CUDA "), ("hip", "ROCm "))
    return ", ".join(name + parts[key] for key, name in names_of if key in parts) or None


def _version_of(package: str) -> Callable[[Report], Optional[str]]:
    return lambda report: report.get("packages", {}).get(package)


def _user(facts: Facts) -> str:
    return "%d:%d" % (facts["user_id"], facts["group_id"])


def _mpi_of(facts: Facts) -> Optional[str]:
    mpi = mpirun.recognise(facts["mpi"])
    return None if mpi is None else str(mpi)


def fingerprint(facts: Facts, report: Optional[Report]) -> Dict[str, Any]:
    """Summarise a node, for a person or a program that compares nodes; None for unknown properties."""
    packages = report.get("packages", {}) if report else {}
    build, gpus_of = (report.get("torch_build") or {}) if report else {}, facts["gpus"]
    low, high = clock.ahead(facts["time"])
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
        "gpu_models": gpus.models_of(gpus_of),
        "limits": facts["limits"],
        "space": facts["space"],
        "clock_offset_seconds": round((low + high) / 2, 3),
        "clock_uncertainty_seconds": round(abs(high - low) / 2, 3),
        "entry_sha256": facts["files"]["entry_sha256"] if facts["files"] else None,
        "nccl_files": sorted(facts["nccl_files"] or {}),
    }

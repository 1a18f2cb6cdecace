# SPDX-License-Identifier: Apache-2.0
"""Kubernetes clusters as reached from this machine: the collection's functions, with errors of madctl."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common import runners
from ansible_collections.madctl.multinode.plugins.module_utils._follow import verdict
from ansible_collections.madctl.multinode.plugins.module_utils._follow.verdict import Verdict
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import cluster as clusters
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import ending, orders, standing, word
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes.cluster import Cluster
from madctl.errors import MadctlError
from madctl.jobs.refusals import reported
from madctl.jobs.standing import Standing

SECONDS = clusters.ANSWER_SECONDS
look, plan = reported(standing.of), reported(standing.plan)
create, delete = reported(orders.create), reported(orders.delete)
stop = reported(ending.stop)


@reported
def reach(job: Mapping[str, Any]) -> Cluster:
    """
    Return the cluster of a run.

    Args:
        job: ``kubeconfig``, ``context`` and ``namespace``, each of which may be missing.

    Raises:
        UsageError: If the package is missing, or there is no usable kubeconfig.
    """
    return Cluster(*(str(job.get(name) or "") for name in ("kubeconfig", "context", "namespace")))


def place(cluster: Cluster, kubeconfig: str) -> dict[str, str]:
    """
    Return what later commands need to reach the cluster of a run, even if the current context has changed.

    Args:
        kubeconfig: The file that the user named; empty for the default one.
    """
    named = [name for name in (kubeconfig or os.environ.get("KUBECONFIG", "")).split(os.pathsep) if name]
    files = os.pathsep.join(os.path.abspath(os.path.expanduser(name)) for name in named)
    found = {"context": cluster.context, "kubeconfig": files}
    return {"namespace": cluster.namespace, **{name: value for name, value in found.items() if value}}


def of(job: Mapping[str, Any], run_id: str, about: Mapping[str, Any], seconds: float = SECONDS) -> Standing:
    """
    Determine the state of a run, as for a run in a job of Slurm.

    Args:
        about: The plan of the run.
    """
    try:
        found = look(reach(job), run_id, seconds)
    except MadctlError as error:
        # For example, the client is not installed; this must not hide other runs.
        unknown = error.problems[0]
        return Standing(Verdict(verdict.UNKNOWN, unknown.message), {}, None, unknown)
    return Standing(judged(found, about), found.nodes, None)


def judged(found: standing.Standing, about: Mapping[str, Any]) -> Verdict:
    """Return the verdict of a run."""
    if found.job is None and not found.pods:
        return Verdict(verdict.UNKNOWN, "it is no longer in the cluster")
    first: Mapping[str, Any] = found.problem or {}
    code = int(word.failed(found.problem)["exit_code"]) if found.problem else None
    counts = runners.job_of(str(about.get("shape")), about.get("runner")).counts_ranks if about.get("shape") else True
    return Verdict(
        found.status,
        found.cause,
        first.get("error"),
        found.began,
        found.ended,
        0 if found.status == verdict.SUCCEEDED else code,
        first.get("host"),
        first.get("rank"),
        found.joined if counts else None,
    )

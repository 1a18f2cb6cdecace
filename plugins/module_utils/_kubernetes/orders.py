# SPDX-License-Identifier: Apache-2.0
"""Create the objects of a run in a cluster, tell it to end, and remove it. Private to the collection."""

from __future__ import annotations

import contextlib
from typing import Any, Dict, List, Sequence

from ansible_collections.madctl.multinode.plugins.module_utils._common import pods as names
from ansible_collections.madctl.multinode.plugins.module_utils._common.refusal import Refused
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import cluster as clusters
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes.cluster import Cluster

# The job is created last, because its pods need the others, and deleted first, because its end must not miss them.
_OTHERS = (clusters.SERVICE, clusters.CONFIG_MAP, clusters.SECRET)


def create(cluster: Cluster, objects: Sequence[Dict[str, Any]], dry_run: bool = False) -> None:
    """
    Create all objects of a run; if one is refused, none is left.

    Raises:
        Refused: If the server refuses one.
    """
    made: List[Dict[str, Any]] = []
    try:
        for one in objects:
            made.append(one)
            cluster.create(one, dry_run)
    except Refused as refused:
        # A request without an answer may have created it.
        undone = made if refused.is_unreachable else made[:-1]
        for one in reversed(undone if not dry_run else []):
            with contextlib.suppress(Refused):
                cluster.delete(one["kind"], one["metadata"]["name"])
        raise


def tell(cluster: Cluster, pod: str, order: str) -> None:
    """
    Tell the conductor of a run, in its first pod, to ``stop`` it gracefully, or to ``kill`` it.

    Raises:
        Refused: If the server refuses, or cannot be reached.
    """
    cluster.annotate(pod, names.ORDER, order)


def delete(cluster: Cluster, run_id: str) -> bool:
    """
    Delete all objects of a run; return whether there was any.

    Raises:
        Refused: If one cannot be deleted.
    """
    found = [cluster.delete(kind, names.name(run_id)) for kind in (clusters.JOB, *_OTHERS)]
    for number in range(names.MOST_PARTS):
        # They are created in this order.
        if not cluster.delete(clusters.CONFIG_MAP, names.code_name(run_id, number)):
            break
        found.append(True)
    return any(found)


def events(cluster: Cluster, name: str) -> List[Dict[str, Any]]:
    """Return the events about an object, for display only; none if they cannot be read."""
    with contextlib.suppress(Refused):
        return cluster.events(name)
    return []

# SPDX-License-Identifier: Apache-2.0
"""
Collect a run in a Kubernetes cluster: the logs of its pods, and its objects and events, without its Secret.

The layout is that of files fetched over SSH. If ranks were restarted, one file has their output of all attempts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common import events, pods, wire
from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import reason
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.streams import Refused
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import cluster as clusters
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import following, orders, state
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes.cluster import Cluster
from madctl.errors import Problem
from madctl.jobs.collecting import Collected, Output, taken, write_node
from madctl.jobs.refusals import reported

_OBJECTS, _EVENTS, _POD = "objects.json", "events.json", "pod.json"
_KINDS = (clusters.JOB, clusters.SERVICE, clusters.CONFIG_MAP)


@reported
def collect(cluster: Cluster, run_id: str, dest: Path, size: int) -> Collected:
    """
    Write a directory per pod of a run, and beside them its objects and events.

    Args:
        size: The most bytes that the logs of each pod may have.
    """
    output, notices = Output(dest, size), []

    def take(frames: Iterable[wire.Frame]) -> None:
        for event, payload in frames:
            if event["event"] in (events.LOG, events.EXIT):
                host = str(event.get("host"))
                if pods.index(host) is not None:
                    output.hosts.setdefault(host, "")
                output.take(event, payload)

    def told(text: str) -> None:
        notices.append(Problem("FILES_LEFT_OUT", text))

    try:
        with following.Following(cluster, run_id, following.Listener(take, told, lambda: None), follow=False) as reader:
            while reader.turn() is None:
                pass
            found = reader.pods
        for pod in found:
            output.hosts.setdefault(pods.host(state.index(pod) or 0), "")
        problems = taken(output, run_id)
        if problems:
            return Collected({}, problems, [])
        nodes = {}
        for host in sorted(output.hosts, key=lambda name: pods.index(name) or 0):
            try:
                write_node(output, host, run_id)
            except (Refused, OSError) as error:
                problems.append(Problem("NODE_SILENT", f"its files were refused: {reason(error, is_named=True)}", host))
                continue
            nodes[host] = str(dest / host)
        _write_cluster(cluster, run_id, dest, found)
        return Collected(nodes, problems, notices)
    finally:
        output.close()


def _write_cluster(cluster: Cluster, run_id: str, dest: Path, found: list[dict[str, Any]]) -> None:
    """Write the objects and events of a run, without the copies of our programs."""
    name = pods.name(run_id)
    objects = [one for kind in _KINDS if (one := cluster.get(kind, name)) is not None]
    for one in objects:
        one.pop("binaryData", None)
    for pod in found:
        _write(dest / pods.host(state.index(pod) or 0) / _POD, pod)
    if objects:
        _write(dest / _OBJECTS, objects)
        _write(
            dest / _EVENTS, [each for one in (name, *map(state.name, found)) for each in orders.events(cluster, one)]
        )


def _write(path: Path, data: Any) -> None:
    path.parent.mkdir(0o700, parents=True, exist_ok=True)
    path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")

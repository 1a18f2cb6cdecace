# SPDX-License-Identifier: Apache-2.0
"""Runs in a cluster that this machine remembers."""

import time
from dataclasses import replace

import pytest

from madctl.jobs import kubernetes
from madctl.nodes import inventory
from madctl.nodes.inventory import Targets
from madctl.records import record_store
from tests.unit.cluster_objects import NAME, RUN

PLAN = {"run_id": RUN, "shape": "script", "nnodes": 2, "world_size": 0, "nodes": []}
JOB = {"on": "k8s", "id": NAME, "namespace": "train", "context": "a"}


def remember(days=0.0, **more):
    """Write the record of a run."""
    created = record_store.create(PLAN, Targets((), inventory.of_group({}, {})), [])
    record = replace(created, job={**JOB, **more}, created=time.time() - days * 86400)
    assert record_store.save(record) is None
    return record_store.read(RUN)


def reach(monkeypatch, cluster):
    """Have runs be in a cluster; return the places that are asked for."""
    places = []
    monkeypatch.setattr(kubernetes, "reach", lambda job: places.append(job) or cluster)
    return places


needs_nothing = pytest.mark.usefixtures("own_records")

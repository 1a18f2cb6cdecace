# SPDX-License-Identifier: Apache-2.0
"""The objects of a run are created all or none, and deleted all."""

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common.refusal import Refused
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import orders
from tests.unit.cluster_objects import NAME, RUN, FakeCluster, job

KINDS = ["Secret", "ConfigMap", "Service", "Job"]
OBJECTS = [{"kind": kind, "metadata": {"name": NAME}} for kind in KINDS]
INVALID = Refused("SCHEDULER_REFUSED", "invalid", status=422)
AWAY = Refused("SCHEDULER_UNREACHABLE", "it is away")


class Refusing(FakeCluster):
    """Refuses one kind of object."""

    def __init__(self, kind=None, refused=INVALID, down_afterwards=None):
        super().__init__()
        self.kind, self.refused, self.afterwards, self.created = kind, refused, down_afterwards, []

    def create(self, manifest, dry_run=False):
        if manifest["kind"] == self.kind:
            self.down = self.afterwards
            raise self.refused
        self.created.append((manifest["kind"], dry_run))
        return manifest


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("refused", [INVALID, AWAY])
def test_if_one_object_is_refused_none_is_left(number, refused):
    """One that was not answered may be there; one that was refused is not ours."""
    cluster = Refusing(KINDS[number], refused)
    with pytest.raises(Refused) as caught:
        orders.create(cluster, OBJECTS)

    made = KINDS[: number + (refused is AWAY)]
    assert caught.value is refused and cluster.deleted == [(kind, NAME) for kind in reversed(made)]


def test_what_cannot_be_undone_does_not_hide_why():
    with pytest.raises(Refused) as caught:
        orders.create(Refusing("Job", INVALID, AWAY), OBJECTS)

    assert caught.value is INVALID


def test_a_trial_leaves_nothing_to_undo():
    cluster = Refusing("Job")
    with pytest.raises(Refused):
        orders.create(cluster, OBJECTS, dry_run=True)

    assert cluster.deleted == [] and cluster.created == [(kind, True) for kind in KINDS[:3]]


def test_the_job_is_deleted_first_and_all_others_also_where_it_is_gone():
    for found, was_there in ((job(), True), (None, False)):
        cluster = FakeCluster(found)

        assert orders.delete(cluster, RUN) is was_there
        assert [kind for kind, _ in cluster.deleted][0] == "Job" and {kind for kind, _ in cluster.deleted} == set(KINDS)
        # The first part of the code is looked for, and there is none.
        assert {name for _, name in cluster.deleted} == {NAME, f"{NAME}-code-0"}


def test_events_that_cannot_be_read_are_none():
    cluster = FakeCluster()
    cluster.down = INVALID

    assert orders.events(cluster, NAME) == []

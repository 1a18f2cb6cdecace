# SPDX-License-Identifier: Apache-2.0
"""Failures that nodes tell each other through shared storage: here one directory of both."""

import os

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._node import failure_flag as module

RUN = "20260101-000000-0123abcd"


def wait(beacon):
    """Collect all children of a beacon and return whether one of them found a failure."""
    found = False
    for pid in sorted(beacon.children):
        found = beacon.ended(*os.waitpid(pid, 0)) or found
    return found


@pytest.fixture
def pair(tmp_path):
    beacons = [module.Beacon(str(tmp_path), RUN, rank, b"madctl-storage") for rank in (0, 1)]
    for beacon in beacons:
        beacon.begin()
    return beacons


def test_a_failure_is_seen_by_the_other_node_and_nothing_is_left(pair, tmp_path):
    first, second = pair
    first.look()
    assert wait(first) is False
    second.tell()
    wait(second)
    first.look()
    assert wait(first) is True
    for beacon in pair:
        beacon.end()
        wait(beacon)

    assert os.listdir(tmp_path) == []


def test_a_failure_stays_for_the_others_when_its_node_has_ended(pair, tmp_path):
    first, second = pair
    second.tell()
    wait(second)
    second.end()
    wait(second)
    first.look()

    assert wait(first) is True
    assert sorted(os.listdir(tmp_path / f".madctl-{RUN}")) == ["0", "failed"]


def test_storage_that_disappeared_is_not_a_failure(pair, tmp_path):
    for name in ("0", "1", "failed"):
        os.unlink(tmp_path / f".madctl-{RUN}" / name)
    os.rmdir(tmp_path / f".madctl-{RUN}")
    pair[0].look()

    assert wait(pair[0]) is False

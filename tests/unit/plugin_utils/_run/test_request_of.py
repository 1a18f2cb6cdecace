# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task's arguments ask of every node."""

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._request import launch_request
from ansible_collections.madctl.multinode.plugins.plugin_utils._run import request_of


def asked(in_full=False, **arguments):
    return launch_request.probe(request_of.read({"work": ["train.py"], **arguments}, {}), write=False, in_full=in_full)


@pytest.mark.parametrize(
    ("arguments", "in_full", "wanted"),
    [({}, False, False), ({}, True, True), ({"runner": "mpirun"}, False, True), ({"runner": "torchrun"}, False, False)],
)
def test_an_mpirun_is_asked_what_it_is_only_where_that_matters(arguments, in_full, wanted):
    assert asked(in_full, **arguments)["mpi"] is wanted


def test_only_variables_that_decide_what_a_job_finds_go_to_the_look():
    found = asked(env={"PATH": "/opt/bin", "TOKEN": "s3cret", "PYTHONPATH": {"base64": "L3g="}})

    assert found["env"] == {"PATH": "/opt/bin", "PYTHONPATH": "/x"}


def test_where_data_is_mirrored_to_is_looked_at_as_shared():
    assert asked(shared_paths=["/nfs:ro"], force_mirror_local="/data")["shared_paths"] == ["/nfs:ro", "/data"]
    assert asked(shared_paths=["/nfs"], force_mirror_local="/nfs/x")["shared_paths"] == ["/nfs"]
    assert asked(shared_paths=["/nfs/x"], force_mirror_local="/nfs")["shared_paths"] == ["/nfs/x", "/nfs"]

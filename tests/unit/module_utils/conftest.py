# SPDX-License-Identifier: Apache-2.0
"""Supervisors for tests, one test at a time."""

import fcntl

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._runs import run_end
from tests.unit.module_utils.real_supervisor import Armed


@pytest.fixture
def alone(tmp_path_factory):
    """Keep other workers' tests from having a supervisor meanwhile: it finds runs on the whole machine."""
    with open(tmp_path_factory.getbasetemp().parent / "supervisors.lock", "w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@pytest.fixture
def arm(alone, tmp_path):
    runs = []

    def make(*argv, **spec):
        runs.append(Armed(tmp_path, list(argv), **spec))
        return runs[-1]

    yield make
    for run in runs:
        run_end.stop(run.run_id, str(tmp_path), 0.0)
        run.process.wait(20)

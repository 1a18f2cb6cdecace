# SPDX-License-Identifier: Apache-2.0
"""Supervisors for tests, one test at a time."""

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._runs import run_end
from tests.unit import supervisor_lock
from tests.unit.module_utils.real_supervisor import Armed


@pytest.fixture
def alone(tmp_path_factory):
    with supervisor_lock.held(tmp_path_factory):
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
        run.process.wait(60)

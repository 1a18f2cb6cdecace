# SPDX-License-Identifier: Apache-2.0
"""The directory of a job, and our programs beside it."""

import os

import pytest

from madctl.errors import UsageError
from madctl.jobs import place


def programs(base):
    (found,) = base.glob("job-bin-*")
    return found


def prepare(base, run_id):
    place.prepare(place.draft(base, run_id, 1, []), {})


def test_programs_that_are_used_again_are_young_again(tmp_path):
    prepare(tmp_path, "r1")
    os.utime(programs(tmp_path), (1, 1))
    prepare(tmp_path, "r2")

    assert programs(tmp_path).stat().st_mtime > 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_programs_of_another_user_are_not_run(tmp_path):
    prepare(tmp_path, "r1")
    os.chown(programs(tmp_path), 12345, -1)

    with pytest.raises(UsageError, match="it belongs to another user"):
        prepare(tmp_path, "r2")
    assert not (tmp_path / "r2").exists()

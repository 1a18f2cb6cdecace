# SPDX-License-Identifier: Apache-2.0
"""Who holds a node: found by the lock, and by the processes that have it open."""

import fcntl
import os
import subprocess

from ansible_collections.madctl.multinode.plugins.module_utils._node import node_lock


def test_a_lock_is_held_as_long_as_a_process_that_inherited_it_lives(tmp_path):
    path = str(tmp_path / "lock")
    lock = node_lock.take(path)
    os.write(lock, b"run-1\n")
    heir = subprocess.Popen(["sleep", "60"], pass_fds=[lock])
    os.close(lock)
    try:
        assert node_lock.holder(path) == "run-1"
        assert node_lock.openers(path) == [heir.pid]
    finally:
        heir.kill()
        heir.wait()

    assert node_lock.holder(path) is None
    assert node_lock.openers(path) == []


def test_a_lock_without_a_name_is_held_by_an_unknown_run(tmp_path):
    with open(tmp_path / "lock", "w") as stream:
        assert node_lock.holder(stream.name) is None
        fcntl.flock(stream, fcntl.LOCK_EX)
        assert node_lock.holder(stream.name) == "unknown"
    assert node_lock.holder(str(tmp_path / "none")) is None

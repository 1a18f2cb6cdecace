# SPDX-License-Identifier: Apache-2.0
"""Orders of whoever follows."""

import socket

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils import _codes, _follow, _wire

REASON = _codes.problem("INTERRUPTED", None, "interrupted")


@pytest.fixture
def followed():
    """A follower of one node, and the node's end."""
    plan = {"run_id": "r", "shape": "script", "world_size": 1}
    node = {"host": "a", "node_rank": 0, "run_dir": "/r", "clock_offset": 0.0}
    follower = _follow.Follower({**plan, "nodes": [node]}, lambda *_: None)
    ours, theirs = socket.socketpair()
    follower.armed("a", ours)
    theirs.settimeout(5)
    with theirs:
        yield follower, theirs


def test_interrupts_stop_and_kill_and_let_go(followed):
    follower, node = followed
    seen = []
    for _ in range(3):
        follower.interrupt(REASON)
        seen.append((b"" if follower.detached else node.recv(9), follower.detached))

    assert seen == [(_wire.STOP, False), (_wire.KILL, False), (b"", True)]


def test_whoever_only_reads_leaves_at_the_first():
    follower = _follow.Follower({"run_id": "r", "shape": "script", "world_size": 0, "nodes": []}, print, read_only=True)
    follower.interrupt(REASON)

    assert (follower.detached, follower.interrupted) == (True, None)

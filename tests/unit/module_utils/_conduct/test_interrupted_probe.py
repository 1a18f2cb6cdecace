# SPDX-License-Identifier: Apache-2.0
"""An interrupt while nodes are looked at."""

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import conductor, look, timing

FILE = {"path": "/shared", "file": ".madctl-proof", "janitor": 7, "nonce": "n"}


class Nodes:
    """Agents that take down what they are asked."""

    def __init__(self):
        self.asked, self.loop = [], None
        self.clock = timing.Clock("")

    def ask(self, requests, function, seconds):
        self.asked += [(host, function, request) for host, request in requests.items()]
        return {}


@pytest.mark.parametrize("is_interrupted", [True, False])
def test_files_for_a_proof_that_nobody_will_read_are_removed(monkeypatch, is_interrupted):
    nodes = Nodes()
    work = conductor.Conductor(nodes, lambda *_: None)

    def at_all(*_):
        if is_interrupted:
            work.interrupt(codes.problem("INTERRUPTED", None, "interrupted"))
        return {"a": look.Seen({"mounts": [{"path": "/none"}, FILE]}), "b": look.Seen({"mounts": []}), "c": look.Seen()}

    monkeypatch.setattr(look, "at_all", at_all)
    work.probe(["a", "b", "c"], {})

    assert nodes.asked == ([("a", "_node.mount_table:release", [FILE])] if is_interrupted else [])

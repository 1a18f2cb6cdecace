# SPDX-License-Identifier: Apache-2.0
"""What torchrun prints about its own end is left out, also where its first or its last line alone is read."""

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._show.runner_end import RunnerEnd

SIGNAL = "W1130 agent.py:722] Received 15 death signal, shutting down workers"
LAST = "torch.distributed.elastic.multiprocessing.api.SignalException: Process 376 got signal: 15"
TRACE = ["Traceback (most recent call last):", '  File "x.py", line 1', LAST]


@pytest.mark.parametrize(
    ("pieces", "shown"),
    [
        ([["a", "b"]], ["a", "b"]),
        ([["a", SIGNAL, *TRACE]], ["a", SIGNAL]),
        ([["a", SIGNAL], TRACE, ["more"]], ["a", SIGNAL]),
        ([[LAST]], []),
        ([["Traceback (most recent call last):", "ValueError: mine"]], TRACE[:1] + ["ValueError: mine"]),
    ],
)
def test_lines_of_a_runner(pieces, shown):
    end = RunnerEnd()

    assert [text for texts in pieces for text in end.without("n1", texts)] == shown
    assert list(end.without("n2", ["of another"])) == ["of another"]


def test_another_attempt_begins_again():
    end = RunnerEnd()
    end.without("n1", [SIGNAL])
    assert not end.without("n1", ["a"])
    end.forget()
    assert list(end.without("n1", ["a"])) == ["a"]

# SPDX-License-Identifier: Apache-2.0
"""The state of a run, in words."""

import time

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._show import verdict_text


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-1, "0.0 s"),
        (3.24, "3.2 s"),
        (9.96, "10 s"),
        (43.4, "43 s"),
        (119, "119 s"),
        (720, "12 min"),
        (7260, "2 h 1 min"),
        (180000, "2 d 2 h"),
    ],
)
def test_a_duration_has_the_digits_that_a_person_reads(seconds, expected):
    assert verdict_text.duration(seconds) == expected


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        ({"status": "failed", "cause": "n1 rank 0: exit code 1: OSError: x", "duration_seconds": 43},
         "failed after 43 s: n1 rank 0: exit code 1: OSError: x"),
        ({"status": "succeeded", "duration_seconds": 3.2}, "succeeded after 3.2 s"),
        ({"status": "succeeded", "duration_seconds": 3.2, "attempts": 3}, "succeeded after 3.2 s, attempt 3"),
        ({"status": "stopped", "duration_seconds": 5, "cause": None}, "stopped after 5.0 s"),
        ({"status": "running", "duration_seconds": 720, "ranks_joined": 16, "world_size": 16},
         "running for 12 min, 16 of 16 ranks joined"),
        ({"status": "running", "duration_seconds": 5, "cause": "n1: it rebooted"},
         "running for 5.0 s; already failed: n1: it rebooted"),
        ({"status": "unknown", "duration_seconds": 5, "cause": "no answer from n1"}, "unknown: no answer from n1"),
        ({"status": "unknown"}, "unknown: its nodes do not say how it ended"),
        ({"status": "failed", "cause": "\x1b[2J"}, "failed: \\x1b[2J"),
    ],
)  # fmt: skip
def test_a_verdict_is_a_line(run, expected):
    assert verdict_text.whole(run) == expected


def test_a_verdict_in_a_table_is_short_and_says_as_of_when():
    now = time.time()
    clock = time.strftime("%H:%M", time.localtime(now))

    assert verdict_text.brief({"status": "running", "as_of": now}) == f"running (as of {clock})"
    assert verdict_text.brief({"status": "running", "as_of": 86400.0}).startswith("running (as of 1970-01-0")
    assert len(verdict_text.brief({"status": "failed", "cause": "x" * 500})) == 60

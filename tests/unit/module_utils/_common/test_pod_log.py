# SPDX-License-Identifier: Apache-2.0
"""The lines of a pod's log: all output comes back, and none of it passes for that of another label."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ansible_collections.madctl.multinode.plugins.module_utils._common import pod_log

LABELS = [pod_log.EVENT, pod_log.STATE, pod_log.RESULT, "rank-0.out", "rank-131071.err", "rank-None.out", "runner.err"]
# Output that looks like ours, and whatever ends or does not end a line.
PIECES = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.sampled_from(
            [b"\n", b"\r\n", b"\r", b"\0", b"\x85", b"\xe2\x80\xa8", b"result: {}\n", b"event+ x", b"\n\n"]
        ),
        st.integers(3990, 8100).map(lambda size: b"x" * size),
    ),
    max_size=12,
).map(b"".join)


def read(lines):
    found = {}
    for line in lines:
        piece = pod_log.piece(line)
        found[piece.label] = found.get(piece.label, b"") + piece.data
    return found


@given(st.lists(st.tuples(st.sampled_from(LABELS), PIECES), max_size=6))
@example([("rank-0.out", b"\nresult: {}\n"), ("rank-0.out", b"x" * 4000 + b"result: {}\n")])
def test_what_each_label_was_given_comes_back_and_nothing_else(said):
    lines = [line for label, data in said for line in pod_log.lines(label, data)]
    expected = {}
    for label, data in said:
        if data:
            expected[label] = expected.get(label, b"") + data

    assert read(lines) == expected
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 and len(line) <= 4096 for line in lines)


@given(st.sampled_from(LABELS), st.integers(0, 10**18 - 1))
def test_a_gap_comes_back(label, size):
    assert pod_log.piece(pod_log.gap(label, size)) == (label, b"", size)


FOREIGN = [
    *(
        b"",
        b"\n",
        b"event",
        b"event:",
        b"event:x",
        b" event: {}",
        b"Event: {}",
        b"events: {}",
        b"event? {}",
        b"\0event: {}",
    ),
    *(
        b"rank-1.log: x",
        b"rank-12345678.out: x",
        b"rank--1.out: x",
        b"rank-1.out:x",
        b"rank-1xout: x",
        b"x rank-1.out: x",
    ),
    *(
        b"event! ",
        b"event! -1",
        b"event! 1.5",
        b"event! " + b"9" * 19,
        b"event! 1 2",
        "event! \u0663".encode(),
        b"event! 1\n\n",
    ),
]


@pytest.mark.parametrize("line", FOREIGN)
def test_a_line_that_somebody_else_printed_is_none_of_ours(line):
    assert pod_log.piece(line) is None


@given(st.binary(max_size=100))
def test_no_line_raises(line):
    found = pod_log.piece(line)

    assert found is None or found.label.encode() == line[: len(found.label)]

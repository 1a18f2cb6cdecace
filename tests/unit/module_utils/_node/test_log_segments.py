# SPDX-License-Identifier: Apache-2.0
"""Logs as segments: every byte once, the newest kept, and the offset at a time."""

import os

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._node import log_segments

CAP = 400


def write(directory, pieces, cap=CAP):
    log = log_segments.Log(str(directory), "rank-0.out", cap)
    for piece in pieces:
        log.append(piece)
    return log


def read_all(directory, offset=0):
    data = b""
    while True:
        [parts] = log_segments.segments(str(directory)).values()
        start, piece = log_segments.read(parts, offset, 7)
        if not piece:
            return data
        assert data == b"" or start == offset, "no gap in the middle"
        data += piece
        offset = start + len(piece)


def test_a_log_below_the_cap_is_read_back_whole(tmp_path):
    pieces = [b"%03d," % number for number in range(75)]
    write(tmp_path, pieces)

    assert read_all(tmp_path) == b"".join(pieces)
    assert len(log_segments.segments(str(tmp_path))["rank-0.out"]) == 3


@pytest.mark.parametrize("offset", [0, 1, 99, 100, 101, 250, 299])
def test_reading_continues_at_the_exact_byte_of_any_offset(tmp_path, offset):
    pieces = [b"%03d," % number for number in range(75)]
    write(tmp_path, pieces)

    assert read_all(tmp_path, offset) == b"".join(pieces)[offset:]


def test_beyond_the_cap_the_newest_is_kept_and_the_gap_is_known(tmp_path):
    pieces = [b"%04d," % number for number in range(1000)]
    log = write(tmp_path, pieces)
    parts = log_segments.segments(str(tmp_path))["rank-0.out"]
    start, _ = log_segments.read(parts, 0)
    kept = sum(os.path.getsize(path) for _, path in parts)

    assert (log.size, log.lost) == (5000, 0)
    assert CAP - CAP // log_segments.SEGMENTS <= kept <= CAP
    assert start == 5000 - kept
    assert read_all(tmp_path) == b"".join(pieces)[start:]


def test_a_full_disk_loses_bytes_that_are_counted(tmp_path, monkeypatch):
    log = write(tmp_path, [b"kept"])

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(log_segments.os, "write", full)
    log.append(b"lost")
    monkeypatch.undo()
    log.append(b"!")

    assert (log.size, log.lost, read_all(tmp_path)) == (5, 4, b"kept!")


def test_a_time_leads_to_the_offset_of_then(tmp_path, monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr(log_segments.time, "time", lambda: clock[0])
    log = log_segments.Log(str(tmp_path), "rank-0.out", CAP)
    for clock[0] in (1000.0, 1005.0, 1020.0, 1040.0):
        log.append(b"x" * 10)
    path = str(tmp_path / "rank-0.out")

    # The table has a line every ten seconds, and too early is better than too late.
    assert [log_segments.offset_at(path, at) for at in (0.0, 1000.0, 1019.9, 1020.0, 1039.0, 2000.0)] == [
        0,
        0,
        0,
        20,
        20,
        30,
    ]
    assert log_segments.offset_at(str(tmp_path / "none"), 1000.0) == 0

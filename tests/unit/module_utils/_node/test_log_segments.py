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


@pytest.mark.parametrize("chunk", [1, 7, 1 << 18])
@pytest.mark.parametrize("cap", [CAP, 1 << 20])
@pytest.mark.parametrize("end", [b"", b"\n", b"\n\n", b"unfinished"])
def test_the_last_lines_are_found_from_the_end(tmp_path, monkeypatch, chunk, cap, end):
    monkeypatch.setattr(log_segments, "CHUNK", chunk)
    pieces = [b"%03d\n" % number for number in range(200)] + [end]
    write(tmp_path, pieces, cap)
    [parts] = log_segments.segments(str(tmp_path)).values()
    kept = b"".join(pieces)[parts[0][0] :]

    for lines in (0, 1, 2, 30, 150, 10**9):
        last = b"".join(kept.splitlines(keepends=True)[-lines:]) if lines else b""
        assert kept.endswith(last)
        assert log_segments.offset_of_last(parts, lines) == parts[0][0] + len(kept) - len(last)


def test_a_segment_that_a_job_made_up_is_not_searched_for_lines(tmp_path):
    write(tmp_path, [b"one\n"])
    (tmp_path / f"rank-0.out.{10**17}").write_bytes(b"two\n")
    [parts] = log_segments.segments(str(tmp_path)).values()

    assert log_segments.offset_of_last(parts, 1) == len(b"one\n")  # Nothing is between.
    assert log_segments.offset_of_last(parts, 2) == 0

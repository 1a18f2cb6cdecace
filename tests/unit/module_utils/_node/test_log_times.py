# SPDX-License-Identifier: Apache-2.0
"""When was what written: exact to the second, bounded in size, whatever a job puts there."""

import os

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._node import log_segments, log_times

CAP = 1 << 20


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Write ten bytes at each of some times, and return the path of the log."""

    def write(*times):
        clock = [0.0]
        monkeypatch.setattr(log_segments.time, "time", lambda: clock[0])
        log = log_segments.Log(str(tmp_path), "rank-0.out", CAP)
        for clock[0] in times:
            log.append(b"x" * 10)
        return str(tmp_path / "rank-0.out")

    return write


def table(path):
    return list(log_times.entries(path + log_times.SUFFIX))


@pytest.mark.parametrize(
    ("since", "offset"),
    [(0.0, 0), (1000.9, 0), (1001.0, 30), (1001.8, 30), (1002.0, 40), (1500.0, 40), (1800.99, 40), (1801.0, None)],
)
def test_a_time_leads_to_the_first_byte_of_its_second_or_the_next_that_was_written(written, since, offset):
    path = written(1000.2, 1000.5, 1000.99, 1001.5, 1800.0)

    assert log_times.offset_at(path, since) == offset


def test_where_no_time_is_known_everything_is_shown(written, tmp_path):
    path = written()
    (tmp_path / "rank-0.out.times").write_text("no table\n")

    assert log_times.offset_at(path, 5.0) == 0
    assert log_times.offset_at(str(tmp_path / "none"), 5.0) == 0


def test_a_reader_learns_the_time_of_each_part_while_more_is_written(written):
    path = written(1000.2, 1000.5, 1001.25)
    reader = log_times.Table(path)

    assert [reader.at(0), reader.at(10), reader.at(20), reader.at(25)] == [
        (1000.2, 20),
        (1000.2, 20),
        (1001.25, None),
        (1001.25, None),
    ]
    log_times.Writer(path).note(1003.0, 30)
    assert [reader.at(29), reader.at(30)] == [(1001.25, 30), (1003.0, None)]


def test_a_long_table_is_exact_at_its_end_and_complete_at_its_beginning(tmp_path, monkeypatch):
    monkeypatch.setattr(log_times, "MOST_BYTES", 4000)
    monkeypatch.setattr(log_times, "_BLOCK", 512)
    path = str(tmp_path / "rank-0.out")
    writer, reader, largest = log_times.Writer(path), log_times.Table(path), 0
    for second in range(5000):
        writer.note(1000.0 + second, 10 * second)
        largest = max(largest, os.path.getsize(path + ".times"))
        assert reader.at(10 * second) == (1000.0 + second, None)

    assert largest < 4100
    assert [log_times.offset_at(path, 1000.0 + second) for second in (4999, 4950, 4920)] == [49990, 49500, 49200]
    found = [log_times.offset_at(path, 1000.0 + second) for second in range(5000)]
    assert found == sorted(found)
    # Too early rather than too late, and no byte is without a time.
    assert all(offset <= 10 * second for second, offset in enumerate(found))
    assert (table(path)[0].offset, found[0]) == (0, 0)
    fresh = log_times.Table(path)
    known = [fresh.at(10 * second)[0] for second in range(5000)]
    assert None not in known and known == sorted(known)


@pytest.mark.parametrize(
    "text", ["x y\n", "1.0 -5\n", "1.0 99999999999999999999999\n", "nan 3\n", "\x00\n", "9e99 1\n", "5 0 -4\n", "7\n"]
)
def test_lines_that_are_none_are_passed_over(tmp_path, text):
    path = str(tmp_path / "rank-0.out")
    (tmp_path / "rank-0.out.times").write_text(text * 9000 + "3.0 7\n")

    assert table(path) == [(3.0, 7, 0)]
    reader = log_times.Table(path)
    assert (reader.at(0), reader.at(7)) == ((None, 7), (3.0, None))


def test_of_a_table_without_an_end_the_end_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(log_times, "MOST_BYTES", 1 << 10)
    path = tmp_path / "rank-0.out.times"
    with path.open("wb") as stream:
        stream.truncate(1 << 40)
        stream.seek(0, os.SEEK_END)
        stream.write(b"\n3.0 7\n")

    assert table(str(tmp_path / "rank-0.out")) == [(3.0, 7, 0)]


def test_a_full_disk_costs_only_the_times(written, monkeypatch, tmp_path):
    (tmp_path / "rank-0.out.times").mkdir()
    path = written(1000.0, 1001.0)

    assert os.path.getsize(path) == 20

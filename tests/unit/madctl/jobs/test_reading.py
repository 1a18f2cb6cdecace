# SPDX-License-Identifier: Apache-2.0
"""What a reader of a story gets: the last lines of each log, or what was printed since a time."""

import pytest

from madctl.jobs.reading import Reading


def log(text, host="a", name="rank-0.out", at=0.0):
    return {"event": "log", "host": host, "log": name, "time": at}, text.encode()


def shown(reading, *frames):
    found = [one for frame in frames for one in reading.take(frame)]
    return [payload.decode() for _, payload in found]


@pytest.mark.parametrize(
    ("parts", "lines", "kept"),
    [
        (["1\n2\n3\n"], 2, "2\n3\n"),
        (["1\n2\n", "3\n", "4"], 2, "3\n4"),
        (["1\n2", "2\n3", "3\n"], 2, "22\n33\n"),
        (["1\n", "2\n"], 5, "1\n2\n"),
        (["1\n2\n"], 0, ""),
        (["1"], 1, "1"),
        (["1\n2", "\n3"], 1, "3"),
        (["1\n", *["x"] * 5, "\n"], 1, "xxxxx\n"),
    ],
)
def test_the_last_lines_of_a_log_are_shown_once_all_is_read(parts, lines, kept):
    reading = Reading(lines=lines)

    assert shown(reading, *map(log, parts)) == []
    assert "".join(payload.decode() for _, payload in reading.caught_up()) == kept
    assert shown(reading, log("later\n")) == ["later\n"]


def test_the_last_lines_of_each_log_of_a_node_come_before_its_end():
    reading = Reading(lines=1)
    frames = [log("1\n2\n"), log("3\n4\n", name="rank-1.out"), log("5\n6\n", host="b")]

    assert shown(reading, *frames, ({"event": "exit", "host": "a"}, b"")) == ["2\n", "4\n", ""]
    assert [payload for _, payload in reading.caught_up()] == [b"6\n"]


def test_much_output_is_not_kept():
    reading = Reading(lines=2)
    shown(reading, *(log(f"{number}\n") for number in range(1000)))
    (tail,) = reading._tails.values()

    assert len(tail._held) <= 4


def test_only_what_was_printed_since_a_time_is_shown_and_all_other_events():
    reading = Reading(since=10.0)

    assert shown(reading, log("old\n", at=9.0), ({"event": "started", "host": "a"}, b""), log("new\n", at=10.0)) == [
        "",
        "new\n",
    ]

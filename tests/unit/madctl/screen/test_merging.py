# SPDX-License-Identifier: Apache-2.0
"""Lines of many logs in the order of their times, in little memory."""

import random

import pytest

from madctl.screen.merging import LogLine, Merger


def lines_of(logs, each):
    """Yield lines of several logs as they may arrive: each log in order, in turns of any length."""
    chance = random.Random(7)
    left = {number: iter(sorted(chance.choice(range(60)) for _ in range(each))) for number in range(logs)}
    while left:
        number = chance.choice(list(left))
        for _ in range(chance.choice((1, 5, 40))):
            at = next(left[number], None)
            if at is None:
                del left[number]
                break
            yield LogLine(float(at), f"node{number}", str(number), "stdout", f"{at} \x1b ä \ud800 {number}")


@pytest.mark.parametrize("most", [1, 4000, 1 << 25])
@pytest.mark.parametrize("last", [None, 0, 1, 700, 10**6])
def test_lines_come_in_the_order_of_time_and_each_log_keeps_its_own(most, last):
    lines = list(lines_of(5, 300))
    merger = Merger(most)
    for line in lines:
        merger.add(line)
    whole = sorted(lines, key=lambda line: line.at)  # It is stable, so each log keeps its order.

    assert list(merger.merged(last)) == (whole if last is None else whole[len(whole) - min(last, len(whole)) :])


def test_only_some_lines_are_in_memory():
    merger, kept = Merger(10_000), []
    for line in lines_of(3, 400):
        merger.add(line)
        kept.append(len(merger._lines))

    assert max(kept) < 40 < len(kept)

# SPDX-License-Identifier: Apache-2.0
"""Which ranks lag: those far from the median, however many there are, and no others."""

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._show import lagging
from tests.unit.module_utils import measured


def ranks(seconds=(), cpu=(), gpu=(), age=100.0):
    """Make ranks of the values that are given."""
    count = max(map(len, (seconds, cpu, gpu)))
    columns = [[*values, *[None] * (count - len(values))] for values in (seconds, cpu, gpu)]
    return {("n", at): lagging.Rank(*values, age) for at, values in enumerate(zip(*columns, strict=True))}


def judged(**values):
    return {rank: what for (_, rank), what in lagging.judge(ranks(**values)).items()}


LAGS = {
    "one is silent": ({"seconds": (1, 2, 1, 40)}, {3: ["output"]}),
    "one of three is silent": ({"seconds": (1, 40, 1)}, {1: ["output"]}),
    "two of eight": ({"seconds": (3, 4, 3, 90, 2, 3, 95, 4)}, {3: ["output"], 6: ["output"]}),
    "rank 0 alone prints": ({"seconds": (1, 500, 500, 500)}, {}),
    "all are silent": ({"seconds": (500, 501, 500, 499)}, {}),
    "all print now and then": ({"seconds": (3, 9, 1, 7, 5, 2, 8)}, {}),
    "all print rarely, each at its own time": ({"seconds": (10, 60, 30, 45, 5, 90, 70)}, {}),
    "half of them are silent": ({"seconds": (1, 1, 300, 300)}, {}),
    "one idles where others compute": ({"cpu": (100, 99, 101, 3)}, {3: ["cpu"]}),
    "one computes where others wait": ({"cpu": (2, 1, 100, 3)}, {2: ["cpu"]}),
    "ranks that are nearly equal": ({"cpu": (100, 100, 100, 90)}, {}),
    "many threads, nearly equal": ({"cpu": (1600, 1610, 1590, 1000)}, {}),
    "many threads, one has few": ({"cpu": (1600, 1610, 1590, 300)}, {3: ["cpu"]}),
    "ranks that are all different": ({"cpu": (10, 80, 150, 220, 290)}, {}),
    "a GPU that is idle": ({"gpu": (97, 98, 97, 5)}, {3: ["gpu"]}),
    "a GPU that is as good as others": ({"gpu": (97, 98, 97, 80)}, {}),
    "GPUs of which nothing is known": ({"gpu": (97, 98, None, None)}, {}),
    "all at once": (
        {"seconds": (1, 1, 1, 80), "cpu": (99, 99, 99, 0), "gpu": (95, 95, 95, 0)},
        {3: ["output", "cpu", "gpu"]},
    ),
    "two ranks": ({"seconds": (1, 500)}, {}),
    "in the first seconds": ({"cpu": (100, 100, 100, 1), "age": 5.0}, {}),
}


@pytest.mark.parametrize(("values", "expected"), LAGS.values(), ids=LAGS)
def test_who_lags(values, expected):
    assert judged(**values) == expected


@pytest.mark.parametrize("count", [3, 16, 1024])
def test_one_among_many(count):
    assert judged(seconds=[2.0] * (count - 1) + [60.0]) == {count - 1: ["output"]}


def test_what_is_compared_comes_from_the_samples_of_all_nodes():
    first = measured.sample(
        {0: measured.load(percent=80.0, output=3.0), 1: measured.load(percent=None, output=None, age=50.0)},
        [measured.gpu(70.0, [0])],
    )
    ended = {**measured.load(percent=0.0), "has_ended": True}
    second = measured.sample({2: ended, 3: measured.load(percent=5.0, output=90.0, age=20.0)})

    assert lagging.ranks_of({"n1": first, "n2": second}) == {
        ("n1", 0): lagging.Rank(3.0, 80.0, 70.0, 100.0),
        # What has printed nothing yet is as silent as it is old, and no rank is silent for longer than it lives.
        ("n1", 1): lagging.Rank(50.0, None, None, 50.0),
        ("n2", 3): lagging.Rank(20.0, 5.0, None, 20.0),
    }


def test_one_odd_second_is_no_mark_and_one_good_second_removes_none():
    marks, odd, good = lagging.Marks(), ranks(cpu=(100, 100, 1)), ranks(cpu=(100, 100, 99))
    seen = [bool(marks.take(now)) for now in (odd, good, odd, odd, good, odd, good, good, good)]

    assert seen == [False, False, False, True, True, True, True, False, False]


def test_a_mark_names_all_that_lags_in_one_order():
    marks, odd = lagging.Marks(), ranks(seconds=(1, 1, 90), cpu=(100, 100, 1), gpu=(90, 90, 1))
    found = [marks.take(odd) for _ in range(3)]

    assert found[-1] == {("n", 2): ["output", "cpu", "gpu"]}

# SPDX-License-Identifier: Apache-2.0
"""What is made of two measurements of a node, and what is not taken for one."""

import json
import random

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import usage
from tests.unit.module_utils import measured
from tests.unit.module_utils.odd_data import changed

GOOD = measured.measurement(ranks={0: 5.0, 10: 6.0}, gpus=[measured.gpu(ranks=[0, 10])])


def test_a_sample_has_shares_of_the_time_between_two_measurements():
    before = measured.measurement(10.0, 500, 1000, {0: 5.0, 2: 7.0, 10: 1.0}, job=50.0)
    after = measured.measurement(12.0, 800, 2000, {10: 4.0, 0: 5.5, 2: 6.0, 3: 9.0}, job=53.0)
    after["ranks"]["3"]["age_seconds"] = 18.0
    found = usage.sample(before, after)

    assert usage.is_measured(before)
    assert usage.is_sample(found)
    assert (found["seconds"], found["cpu_percent"], found["job"]["cpu_percent"]) == (2.0, 30.0, 150.0)
    # Of rank 2 a process has ended, which its parent did not wait for; rank 3 has joined, and is 18 s old.
    assert [(rank, load["cpu_percent"]) for rank, load in found["ranks"].items()] == [
        *(("0", 25.0), ("2", 0.0), ("3", 50.0), ("10", 150.0)),
    ]
    assert found["memory_total_bytes"] == 256 << 30


def test_a_rank_without_processes_has_no_share():
    before, after = (measured.measurement(at, ranks={0: 5.0}) for at in (10.0, 12.0))
    after["ranks"]["0"].update(processes=0, cpu_seconds=0.0)

    assert usage.sample(before, after)["ranks"]["0"]["cpu_percent"] is None


def test_without_time_in_between_there_are_no_shares():
    found = usage.sample(GOOD, GOOD)

    assert usage.is_sample(found)
    assert (found["cpu_percent"], found["job"]["cpu_percent"], found["ranks"]["0"]["cpu_percent"]) == (None, None, None)


def test_clocks_and_counters_that_go_back_are_no_negative_shares():
    found = usage.sample(measured.measurement(50.0, 900, 3000, {0: 9.0}), measured.measurement(10.0, 0, 10, {0: 1.0}))

    assert usage.is_sample(found)
    assert found["seconds"] == 0.0


def test_how_busy_the_gpus_of_a_rank_are():
    gpus = [measured.gpu(80.0, [0]), measured.gpu(40.0, [0, 1]), measured.gpu(None, [2]), measured.gpu(7.0)]
    found = measured.sample(gpus=gpus)

    assert [usage.gpu_percent(found, rank) for rank in range(4)] == [60.0, 40.0, None, None]


@pytest.mark.parametrize("name", GOOD)
def test_a_measurement_is_whole(name):
    assert usage.is_measured(GOOD)
    assert not usage.is_measured({key: value for key, value in GOOD.items() if key != name})
    assert not usage.is_measured({**GOOD, name: 5 if name == "gpus_error" else "x"})


BAD = {
    "too many GPUs": {"gpus": [measured.gpu()] * 2000},
    "too many ranks": {"ranks": {str(rank): GOOD["ranks"]["0"] for rank in range(5000)}},
    "a rank that is no number": {"ranks": {"\x1b[2J": GOOD["ranks"]["0"]}},
    "a rank in other digits": {"ranks": {"٣": GOOD["ranks"]["0"]}},
    "not finite": {"clock": float("nan")},
    "no cores": {"cores": 0},
    "a share over all": {"gpus": [measured.gpu(100.5)]},
    "a long text": {"gpus_error": "x" * 5000},
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_what_is_no_measurement(bad):
    assert not usage.is_measured({**GOOD, **bad})


@pytest.mark.fuzz
def test_of_what_passes_a_sample_can_be_made(rounds):
    source = random.Random(5)
    passed = 0
    for _ in range(rounds):
        odd = changed(GOOD, source)
        if usage.is_measured(odd):
            passed += 1
            json.dumps([usage.sample(GOOD, odd), usage.sample(odd, GOOD)], allow_nan=False)
    assert passed

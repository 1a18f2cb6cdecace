# SPDX-License-Identifier: Apache-2.0
"""What variables and inventories cannot mean is found before any node is asked."""

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common.whole_numbers import number
from ansible_collections.madctl.multinode.plugins.module_utils._request import validation
from tests.unit.not_numbers import NOT_NUMBERS

NAMES = [
    "nproc_per_node",
    "master_port",
    "nnodes",
    "max_restarts",
    "log_cap",
]


@pytest.mark.parametrize("text", NOT_NUMBERS)
def test_a_number_is_written_in_plain_digits(text):
    assert number(text, 0, 10**30) is None


def test_numbers_have_bounds():
    assert [number(text, 1, 8) for text in ("0", "1", "08", "9")] == [None, 1, 8, None]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("text", [text for text in NOT_NUMBERS if text])
def test_variables_take_plain_numbers(name, text):
    assert [found["code"] for found in validation.judge({name: text})] == ["USAGE"]


@pytest.mark.parametrize("name", ["timeout", "idle_timeout", "start_timeout", "grace", "days"])
@pytest.mark.parametrize("text", ["x", "²", "nan", "inf", "-1", "1e999"])
def test_times_are_numbers(name, text):
    assert [found["code"] for found in validation.judge({name: text})] == ["USAGE"]


def test_what_can_be_meant_passes():
    given = {"timeout": 0, "idle_timeout": "1.5", "log_cap": 1 << 30, "grace": 0, "days": 0.5, "nnodes": "0"}

    assert validation.judge(given) == []


@pytest.mark.parametrize("value", [*NOT_NUMBERS, 0, 4097, True, 1.5, [], {}])
def test_slots_of_an_inventory_are_a_number(value):
    assert [(one["host"], one["code"]) for one in validation.judge_hosts({"a": {"madctl_slots": value}})] == [
        ("a", "USAGE")
    ]


def test_inventories_that_can_be_meant_pass():
    assert validation.judge_hosts({"a": {"madctl_slots": "8", "madctl_node_rank": 0}, "fd00::1": {}}) == []

# SPDX-License-Identifier: Apache-2.0
"""Invalid variables and inventories are refused before any node is asked."""

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._request import validation
from ansible_collections.madctl.multinode.plugins.module_utils._request.kinds import number
from tests.unit.not_numbers import NOT_NUMBERS
from tests.unit.playbook_requests import refusals

NAMES = ["nproc_per_node", "master_port", "nnodes", "max_restarts", "log_cap", "max_size"]


@pytest.mark.parametrize("text", NOT_NUMBERS)
def test_a_number_is_written_in_plain_digits(text):
    assert number(text, 0, 10**30) is None


def test_numbers_have_bounds():
    assert [number(text, 1, 8) for text in ("0", "1", "08", "9")] == [None, 1, 8, None]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("text", [text for text in NOT_NUMBERS if text])
def test_variables_take_plain_numbers(name, text):
    assert [found["code"] for found in refusals({name: text})] == ["USAGE"]


@pytest.mark.parametrize("words", [["-np", "3"], ["--host=a"], ["-hostfile", "f"], ["--bind-to", "core", "-ppn", "2"]])
def test_how_many_ranks_mpirun_starts_and_where_is_not_a_word_of_the_user_s(words):
    assert [found["code"] for found in refusals({"runner": "mpirun", "mpi_args": words})] == ["MPI_ARGS_RESERVED"]
    assert refusals({"runner": "mpirun", "mpi_args": ["--bind-to", "core", "--mca", "btl", "self"]}) == []


@pytest.mark.parametrize("name", ["timeout", "idle_timeout", "start_timeout", "grace", "days"])
@pytest.mark.parametrize("text", ["x", "²", "nan", "inf", "-1", "1e999"])
def test_times_are_numbers(name, text):
    assert [found["code"] for found in refusals({name: text})] == ["USAGE"]


def test_valid_variables_pass():
    given = {"timeout": 0, "idle_timeout": "1.5", "log_cap": 1 << 30, "grace": 0, "days": 0.5, "nnodes": "0"}

    assert refusals(given) == []


@pytest.mark.parametrize("value", [*NOT_NUMBERS, 0, 4097, True, 1.5, [], {}])
def test_slots_of_an_inventory_are_a_number(value):
    assert [(one["host"], one["code"]) for one in validation.judge_hosts({"a": {"madctl_slots": value}})] == [
        ("a", "USAGE")
    ]


def test_valid_inventories_pass():
    assert validation.judge_hosts({"a": {"madctl_slots": "8", "madctl_node_rank": 0}, "fd00::1": {}}) == []

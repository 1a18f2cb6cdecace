# SPDX-License-Identifier: Apache-2.0
"""Names of hosts as a person writes them."""

import time

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._show.names import count, fold

FOLDED = {
    "": [],
    "node1": ["node1"],
    "node[1-3]": ["node3", "node1", "node2"],
    "gpu[01-16]": [f"gpu{n:02}" for n in range(1, 17)],
    "node[1-3,9-10],login": ["node3", "node1", "login", "node2", "node10", "node9"],
    "n[08-10]": ["n08", "n09", "n10"],
    "n01,n1,a": ["n01", "n1", "a", "a"],
    "gpu[1-2].c1.example": ["gpu1.c1.example", "gpu2.c1.example"],
    "rack1-n[1-2],rack2-n1": ["rack1-n1", "rack1-n2", "rack2-n1"],
    "10.0.0.[1-2],fe80::1,fe80::2": ["10.0.0.1", "10.0.0.2", "fe80::1", "fe80::2"],
    "a!b,c": ["a!b", "c"],
    "@all,c": ["@all", "c"],
}


@pytest.mark.parametrize("folded", FOLDED)
def test_names_are_folded_and_none_is_lost(folded):
    assert fold(FOLDED[folded]) == folded


def test_many_names_take_no_time():
    started = time.perf_counter()
    names = [f"node{n}" for n in range(20000)]

    assert fold(names) == "node[0-19999]"
    assert time.perf_counter() - started < 2


def test_count():
    assert [count(number, "rank") for number in (0, 1, 2)] == ["0 ranks", "1 rank", "2 ranks"]

# SPDX-License-Identifier: Apache-2.0
"""Lists of ranks: as people write them, and nothing else."""

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import rank_lists


@pytest.mark.parametrize(
    ("text", "ranks", "named"),
    [
        ("0", ((0, 0),), "rank 0"),
        ("0-3,7", ((0, 3), (7, 7)), "ranks 0-3,7"),
        ("[0-3]", ((0, 3),), "ranks 0-3"),
        (" 7 , 1 - 2,3", ((1, 3), (7, 7)), "ranks 1-3,7"),
        ("5,2-9,3", ((2, 9),), "ranks 2-9"),
        ("0-999999999", ((0, 999999999),), "ranks 0-999999999"),
    ],
)
def test_a_list_is_parsed_and_written(text, ranks, named):
    assert rank_lists.parse(text) == ranks
    assert rank_lists.named(ranks) == named
    assert rank_lists.parse(rank_lists.text(ranks)) == ranks


@pytest.mark.parametrize(
    "text", ["", ",", "1,", "a", "-1", "3-1", "1-", "[1", "1]", "[1],2", "1_0", "٣", "²", "1.0", "0x1", "1\n", "9" * 10]
)
def test_what_is_no_list_of_ranks_is_refused(text):
    with pytest.raises(ValueError):
        rank_lists.parse(text)


def test_a_rank_is_in_a_list_or_not():
    ranks = rank_lists.parse("0-3,7")

    assert [rank for rank in range(10) if rank_lists.has(ranks, rank)] == [0, 1, 2, 3, 7]

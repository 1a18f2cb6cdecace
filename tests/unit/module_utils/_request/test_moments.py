# SPDX-License-Identifier: Apache-2.0
"""Moments as people write them."""

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._request import kinds

MOMENTS = {None: None, "now": "end", "30s": 970.0, "1.5m": 910.0, "2h": -6200.0, "1d": -85400.0}


@pytest.mark.parametrize("text", MOMENTS)
def test_moments(text):
    assert kinds.since(text, 1000.0) == MOMENTS[text]


def test_a_time_is_of_this_machine_s_clock():
    assert kinds.since("1970-01-02T00:00+00:00", 0.0) == 86400.0


@pytest.mark.parametrize(
    "text", ["", "soon", "10", "10x", "m", "-5m", "²d", "٣d", "9" * 400 + "d", "1..5h", ".m", "0001-01-01", "²-01-01"]
)
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError):
        kinds.since(text, 0.0)

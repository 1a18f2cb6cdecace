# SPDX-License-Identifier: Apache-2.0
"""How a run ended, from what its nodes keep."""

import pytest

from madctl.commands.status import how_it_ended


def node(code=0, stopped=False):
    return {"exit": {"exit_code": code, "stopped": stopped}}


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ([node(), node()], "succeeded"),
        ([node(), node(1)], "failed"),
        ([node(), node(None)], "failed"),
        ([node(1, True), node(None, True)], "stopped"),
        ([node(), {"exit": None}], None),
        ([node()], None),
    ],
)
def test_how_it_ended(nodes, expected):
    assert how_it_ended(nodes, 2) == expected

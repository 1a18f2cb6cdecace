# SPDX-License-Identifier: Apache-2.0
"""Which run a playbook means."""

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._conduct import find_run

A, B = "20261101-100000-aaaaaaaa", "20261102-100000-bbbbbbbb"


def run(state, created):
    return {"state": state, "described": {"created": created} if created else None}


LIVE_AND_OVER = {"n1": {A: run("running", 1.0)}, "n2": {B: run("exited", 2.0)}}
AGAIN = {"n1": {A: run("exited", 1.0), f"{A}.1": run("exited", 2.0), f"{A}.2": run("running", 3.0)}}
# One part of the latest run does not say when it was.
BROKEN = {"n1": {A: run("exited", 1.0), B: run("running", 2.0)}, "n2": {B: run("running", None)}}


@pytest.mark.parametrize(
    ("held", "wanted", "alive", "expected"),
    [
        (LIVE_AND_OVER, "", False, B),
        (LIVE_AND_OVER, "", True, A),
        (LIVE_AND_OVER, "20261102", True, B),
        (AGAIN, A, False, f"{A}.2"),
        (AGAIN, f"{A}.1", True, f"{A}.1"),
        (BROKEN, "", False, B),
        (BROKEN, "20270101", False, None),
        ({"n1": {}}, "", True, None),
    ],
)
def test_the_run_that_is_meant(held, wanted, alive, expected):
    assert find_run._choose(held, wanted, alive) == expected

# SPDX-License-Identifier: Apache-2.0
"""The names of a run in a cluster."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.madctl.multinode.plugins.module_utils._common import pods


@given(st.integers(0, 999999))
def test_a_pod_is_known_by_what_the_run_calls_it(number):
    assert pods.index(pods.host(number)) == number


@pytest.mark.parametrize(
    "name", ["", "pod-", "pod--1", "pod-1\n", "pod-\u0661", "pod-1234567", "xpod-1", "pod-1/..", "pod-1.0"]
)
def test_other_names_are_no_pods(name):
    assert pods.index(name) is None

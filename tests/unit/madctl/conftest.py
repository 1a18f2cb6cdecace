# SPDX-License-Identifier: Apache-2.0
"""What tests of remembered runs share."""

import pytest


@pytest.fixture
def own_records(tmp_path, monkeypatch):
    """Give a test a memory of runs of its own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

# SPDX-License-Identifier: Apache-2.0
"""Properties are tried with the same examples every time, however slow the machine."""

import functools
import sys

import pytest
from hypothesis import settings

from madctl import cli
from madctl.request import role_variables

settings.register_profile("madctl", derandomize=True, deadline=None)
settings.load_profile("madctl")


@pytest.fixture
def known_python(monkeypatch):
    """Look for no python3: where that is a shim, each look would start it."""
    monkeypatch.setattr(role_variables, "caller_python", lambda _: sys.executable)


_build_once = functools.cache(cli.build_parser)


@pytest.fixture
def one_parser(monkeypatch):
    """Parse every line with the same parser: one that was made for each would be most of what a line costs."""
    monkeypatch.setattr(cli, "build_parser", _build_once)

# SPDX-License-Identifier: Apache-2.0
"""Options of all tests: the long mode, for what takes long and rarely breaks."""

import os
import sys
from pathlib import Path

import pytest


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="also run tests marked long, and fuzz at full length")


def pytest_configure():
    # A runner of tests may set it for its own lines; what madctl prints in a pipe has no width.
    os.environ.pop("COLUMNS", None)
    # A command that dies of a signal says where it was.
    os.environ["PYTHONFAULTHANDLER"] = "1"
    # In an activated environment, nodes would have a torch that they do not have otherwise.
    own, places = str(Path(sys.executable).parent), os.environ["PATH"].split(os.pathsep)
    os.environ["PATH"] = os.pathsep.join(place for place in places if place != own)


def pytest_collection_modifyitems(config, items):
    if config.getoption("--long"):
        return
    long = [item for item in items if item.get_closest_marker("long")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


@pytest.fixture(autouse=True)
def process_as_it_was():
    """Hold every test to leave the process that runs it as it was: the tests after it inherit what it changes."""
    before = _state()
    yield
    after = _state()
    os.umask(before[0])
    os.chdir(before[1])
    assert after == before, "a test changed the umask or the current directory of its process"


def _state():
    umask = os.umask(0o022)
    os.umask(umask)
    return umask, Path.cwd()


@pytest.fixture
def rounds(request):
    """Return the number of mutated inputs to try: 10,000, or 1,000,000 with --long."""
    return 1_000_000 if request.config.getoption("--long") else 10_000

# SPDX-License-Identifier: Apache-2.0
"""Which tests stay together when two workers run them: those of a file, and those of User Mode Linux."""

import pytest

# They count the links of this machine that such hosts make.
TOGETHER = {"test_nfs": "test_uml", "test_systemd": "test_uml"}


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the marks in the same hook.
def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker(pytest.mark.xdist_group(TOGETHER.get(item.path.stem, item.path.stem)))

# SPDX-License-Identifier: GPL-3.0-or-later
"""Plugins of Ansible's in a process that is not one of Ansible's."""

import pytest
from ansible.plugins.loader import connection_loader


@pytest.fixture(autouse=True)
def plugins_by_short_names(monkeypatch):
    """Find them without Ansible's way to import collections, which would take over the imports of all tests."""
    real = connection_loader.get

    def get(name, *words, **how):
        return real(name.removeprefix("ansible.builtin."), *words, **how)

    monkeypatch.setattr(connection_loader, "get", get)

# SPDX-License-Identifier: Apache-2.0
"""Which names lead a node back to itself."""

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._node import resolver

FILE = """\
127.0.0.1 localhost
127.0.1.1 copied1 Copied2.example copied2  # from another machine
10.0.0.3  good
10.0.0.4  both
127.0.1.1 both
# 127.0.1.1 said
::1 six
nonsense
"""


@pytest.fixture
def hosts(tmp_path, monkeypatch):
    """Provide a hosts file, and a resolver that knows only that file and records the names."""
    path, asked = tmp_path / "hosts", []
    path.write_text(FILE)
    monkeypatch.setattr(resolver, "HOSTS", str(path))
    monkeypatch.setattr(resolver, "resolve", lambda name: asked.append(name) or resolver._listed().get(name, []))
    return asked


ALL = ["copied1", "copied2", "good", "both", "said", "six", "unknown"]


@pytest.mark.parametrize("before", [0, 40])
def test_names_that_lead_to_loopback_are_found_however_many_there_are(hosts, before):
    found = resolver.loopback_names([*(f"other{number}" for number in range(before)), *ALL])

    assert found == {"copied1": "127.0.1.1", "copied2": "127.0.1.1", "six": "::1"}


def test_the_names_of_many_nodes_are_not_all_resolved(hosts):
    resolver.loopback_names([f"node{number}" for number in range(240)])

    assert len(hosts) == resolver.MOST_RESOLVED


def test_an_unreadable_hosts_file_lists_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(resolver, "HOSTS", str(tmp_path))

    assert resolver._listed() == {}

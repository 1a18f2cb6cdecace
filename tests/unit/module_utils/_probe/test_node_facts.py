# SPDX-License-Identifier: Apache-2.0
"""What a node reports of a path that is only read."""

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._probe import node_facts


@pytest.mark.parametrize(("given", "path", "read_only"), [("/a", "/a", False), ("/a:ro", "/a", True)])
def test_a_path_that_is_only_read_is_looked_at_without_its_mark(given, path, read_only):
    request = {"shared_paths": [given], "write": True}

    assert node_facts._storage(request)["mount0"][1] == (path, read_only, True)
    found = node_facts._mount(given, {"value": {}})
    assert (found["path"], found["read_only"]) == (path, read_only)

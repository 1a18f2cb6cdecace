# SPDX-License-Identifier: Apache-2.0
"""Many nodes are asked at once, and each answers for itself."""

import sys

from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes import ask_nodes, remote_program
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes.local import Local

PYTHON = {"ansible_python_interpreter": sys.executable}


def test_every_node_answers_its_own_request(tmp_path):
    ways = {host: Local(host, PYTHON) for host in ("a", "b")}
    ways["c"] = Local("c", {"ansible_python_interpreter": "/none"})
    modules = remote_program.parts("_runs.survey")
    answers = ask_nodes.ask(ways, modules, "survey", lambda host: {"run_dir": str(tmp_path / host)}, 20)

    assert [answers[host]["runs"] for host in "ab"] == [[], []]
    assert (answers["c"]["failed"], answers["c"]["rc"]) == (True, 127)
    assert "/none" in answers["c"]["msg"]

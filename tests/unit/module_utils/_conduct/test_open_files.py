# SPDX-License-Identifier: Apache-2.0
"""Many agents need many open files, and the usual bound is low."""

import subprocess
import sys

# In a process of its own: a bound that is lowered there is nobody else's.
MANY = """
import resource, sys
from ansible_collections.madctl.multinode.plugins.module_utils._common.event_loop import Loop
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents
from ansible_collections.madctl.multinode.plugins.module_utils._ways.local import Local

_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (16, most))
hosts = ["node%d" % number for number in range(12)]
with Agents(Loop(), {host: Local(host, sys.executable) for host in hosts}) as agents:
    answers = agents.ask(hosts, "_runs.run_state:is_alive", lambda _: {"address": "127.0.0.1", "ports": []}, 60.0)
print(sum("alive" in answer for answer in answers.values()))
"""


def test_more_nodes_are_reached_than_the_usual_bound_of_open_files_allows():
    done = subprocess.run([sys.executable, "-c", MANY], capture_output=True, text=True, timeout=120, check=False)

    assert done.stdout == "12\n", done.stderr

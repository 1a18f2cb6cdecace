# SPDX-License-Identifier: Apache-2.0
"""Many agents need many open files, and the usual bound is low."""

import subprocess
import sys

# In a process of its own, so that the lowered limit affects nothing else.
MANY = """
import resource, sys
from ansible_collections.madctl.multinode.plugins.module_utils._common.event_loop import Loop
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents
from ansible_collections.madctl.multinode.plugins.module_utils._ways.local import Local

_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (16, most))
hosts = ["node%d" % number for number in range(12)]
with Agents(Loop(), {host: Local(host, sys.executable) for host in hosts}) as agents:
    answers = agents.ask(dict.fromkeys(hosts, {"address": "127.0.0.1", "ports": []}), "_runs.run_state:is_alive", 60.0)
    # Of an agent, and so of a job that is started here, it is the user's own.
    agent = agents._nodes["node1"].link.channel._connection._process.pid
    print(sum("alive" in answer for answer in answers.values()), resource.prlimit(agent, resource.RLIMIT_NOFILE)[0])
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def test_more_nodes_are_reached_than_the_usual_bound_of_open_files_allows_and_it_holds_for_all_else():
    done = subprocess.run([sys.executable, "-c", MANY], capture_output=True, text=True, timeout=120, check=False)

    assert done.stdout == "12 16\n16\n", done.stderr

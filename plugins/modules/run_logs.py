#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: run_logs
short_description: Show the output of a run, and follow it on request
description:
  - Shows the output of all nodes from the first byte and, with O(follow), of what comes until the run ends.
  - Runs once per play. When it ends, the run continues.
author: The madctl authors
extends_documentation_fragment:
  - madctl.multinode.run
  - madctl.multinode.run.which
  - madctl.multinode.run.shown
options:
  follow:
    description: Whether to wait for more output until the run ends.
    type: bool
    default: false
  since:
    description:
      - Start of the output. V(now) is the end, V(10m) is ten minutes ago; a time also works.
      - By default the first byte.
    type: str
  lines:
    description: Number of lines of each log to show, the last ones; by default all.
    type: int
  with_times:
    description: Whether events of output have the time at which it was written.
    type: bool
  read_only:
    description: Whether a failure or an interrupt only ends this task, and not the run.
    type: bool
    default: false
  event_socket:
    description: Path of a socket that gets the events instead of the screen.
    type: str
"""

EXAMPLES = r"""
- name: Follow
  madctl.multinode.run_logs:
    plan: "{{ rendezvous_result.plan }}"
    follow: true
  run_once: true
"""

RETURN = r"""
run_id:
  description: ID of the run.
  returned: when the run was followed
  type: str
  sample: 20261123-143000-1a2b3c4d
summary:
  description: How the run ended on every node.
  returned: when the run was followed
  type: dict
  sample: {ranks_joined: 4, duration_seconds: 6.2}
problems:
  description: Why output is missing and, if O(read_only) is false, how the run failed.
  returned: always
  type: list
  elements: dict
  sample: [{code: RUN_UNKNOWN, host: gpu01}]
failures:
  description: The message with which each host to blame fails, by host.
  returned: when there are problems
  type: dict
  sample: {gpu01: "RUN_UNKNOWN: see above"}
exit_code:
  description: The exit code that madctl would have returned.
  returned: always
  type: int
  sample: 0
ended:
  description: When the run ended, in seconds since 1970.
  returned: when the run was followed
  type: float
  sample: 1795439400.5
detached:
  description: Whether the run continues without this task.
  returned: when the run was followed
  type: bool
  sample: false
"""

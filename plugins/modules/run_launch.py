#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: run_launch
short_description: Start a job on all nodes at once, or on none, and follow it to the end
description:
  - Inspects every host of the play and plans, as M(madctl.multinode.rendezvous) does, unless O(plan) is set.
  - Delivers a supervisor to every node. Runners start only when all nodes are ready, and then on all of them at once.
  - Runs once per play and does not depend on forks.
author: The madctl authors
extends_documentation_fragment:
  - madctl.multinode.request
  - madctl.multinode.request.probe
  - madctl.multinode.run
  - madctl.multinode.run.shown
options:
  plan:
    description: Plan to start instead of making one; RV(madctl.multinode.rendezvous#module:plan) of an earlier task.
    type: dict
  timeout:
    description: Seconds after which the job is stopped. V(0) means no limit.
    type: float
    default: 0
  idle_timeout:
    description: >-
      Seconds without a single byte of output of any rank, such as a progress bar that moves, after which stack traces
      are dumped and the job is stopped. V(0) means no limit. Needs a process that follows the run, so it cannot be
      combined with O(detach).
    type: float
    default: 0
  log_cap:
    description: Bytes of each log that a node keeps, the newest.
    type: int
    default: 1073741824
  name:
    description: What to call the run; up to 40 letters, digits, dots, dashes and underscores.
    type: str
  note:
    description: A line to remember about the run.
    type: str
  detach:
    description: Whether to return after the start and leave the run running in the background.
    type: bool
    default: false
  dry_run:
    description: Whether to show what would start, and start nothing, as in check mode.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Start
  madctl.multinode.run_launch:
    work: [/nfs/train.py]
  run_once: true
"""

RETURN = r"""
run_id:
  description: ID of the run.
  returned: when the run started, or would start
  type: str
  sample: 20261123-143000-1a2b3c4d
summary:
  description: How the run ended on every node.
  returned: when the run started
  type: dict
  sample: {ranks_joined: 4, duration_seconds: 6.2}
problems:
  description: >-
    Every problem, with C(code), C(host), C(message) and C(remedy), the first failure first; empty after a success.
  returned: always
  type: list
  elements: dict
  sample: [{code: RANK_FAILED, host: gpu01, rank: 3}]
failures:
  description: The message with which each host to blame fails, by host.
  returned: when there are problems
  type: dict
  sample: {gpu01: "RANK_FAILED: see above"}
exit_code:
  description: The exit code that madctl would have returned.
  returned: when the run started, and after a failure
  type: int
  sample: 6
ended:
  description: When the run ended, in seconds since 1970.
  returned: when the run started
  type: float
  sample: 1795439400.5
detached:
  description: Whether the run continues without this task.
  returned: when the run started
  type: bool
  sample: false
restarts:
  description: The restarts of the run, each with C(run_id), C(replaced) and C(after), the problem that it followed.
  returned: when the run started
  type: list
  elements: dict
  sample: []
checks:
  description: V(ok), V(warn), V(FAIL) or V(-), by host and check.
  returned: when the launch was refused
  type: dict
  sample: {gpu01: {reach: ok, storage: FAIL}}
without_ifconfig:
  description: Nodes that need net-tools before a plan can be made.
  returned: when the task inspected the nodes
  type: list
  elements: str
  sample: []
warning_list:
  description: Warnings of the checks, as problems are written.
  returned: when the task inspected the nodes
  type: list
  elements: dict
  sample: []
planned:
  description: Whether the job was only planned, as in check mode.
  returned: when nothing starts on purpose
  type: bool
  sample: true
plan:
  description: The plan of what would start.
  returned: when nothing starts on purpose
  type: dict
  sample: {world_size: 4}
"""

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
summary:
  description: How the run ended on every node.
  returned: always
  type: dict
  sample: {ranks_joined: 4}
problems:
  description: The first failure first, with C(code), C(host), C(message) and C(remedy).
  returned: failure
  type: list
  elements: dict
  sample: [{code: RANK_FAILED, host: gpu01, rank: 3}]
"""

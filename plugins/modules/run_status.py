#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: run_status
short_description: Ask all nodes how a run stands
description:
  - Runs once a play and changes nothing.
author: The madctl authors
options:
  run_id:
    description:
      - Identity of the run, or its beginning, where O(plan) is not at hand.
      - Without both, the latest run that the nodes hold.
    type: str
  plan:
    description: The plan of the run.
    type: dict
  run_dir:
    description: Directory on the nodes that run directories are in; C(/var/tmp/madctl-UID) where none is given.
    type: str
  fail_on_problems:
    description: Whether to fail with the problems, or only to return them.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Ask
  madctl.multinode.run_status:
    plan: "{{ rendezvous_result.plan }}"
  run_once: true
  register: status
"""

RETURN = r"""
nodes:
  description: By host C(state), C(exit), C(supervisor), C(container), C(storage), C(processes) and C(joined).
  returned: always
  type: dict
  sample: {gpu01: {state: running, processes: 9}}
problems:
  description: Nodes that did not answer.
  returned: always
  type: list
  elements: dict
  sample: []
"""

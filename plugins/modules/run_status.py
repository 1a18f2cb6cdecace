#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: run_status
short_description: Show the state of a run on all nodes
description:
  - Runs once per play and changes nothing.
author: The madctl authors
extends_documentation_fragment:
  - madctl.multinode.run
  - madctl.multinode.run.which
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
  description: C(state), C(exit), C(supervisor), C(container), C(storage), C(processes) and C(joined), by host.
  returned: always
  type: dict
  sample: {gpu01: {state: running, processes: 9}}
run:
  description: >-
    How the run stands or ended, C(status) (V(running), V(succeeded), V(failed), V(stopped) or V(unknown)), C(cause),
    C(exit_code), C(ended), C(duration_seconds) and C(ranks_joined).
  returned: always
  type: dict
  sample: {status: failed, cause: "gpu01 rank 0: exit code 1", exit_code: 6}
problems:
  description: Nodes that did not answer.
  returned: always
  type: list
  elements: dict
  sample: []
"""

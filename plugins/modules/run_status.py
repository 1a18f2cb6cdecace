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
run_id:
  description: ID of the run.
  returned: when a node has the run
  type: str
  sample: 20261123-143000-1a2b3c4d
nodes:
  description: C(state), C(exit), C(supervisor), C(container), C(storage), C(processes) and C(joined), by host.
  returned: always
  type: dict
  sample: {gpu01: {state: running, processes: 9}}
run:
  description: >-
    The state of the whole run: C(status), which is V(running), V(succeeded), V(failed), V(stopped) or V(unknown),
    C(cause), C(exit_code), C(ended), C(duration_seconds), C(ranks_joined) and C(world_size).
  returned: when a node has the run
  type: dict
  sample: {status: failed, cause: "gpu01 rank 0: exit code 1", exit_code: 6}
problems:
  description: Nodes that did not answer, or do not have the run.
  returned: always
  type: list
  elements: dict
  sample: [{code: RUN_UNKNOWN, host: gpu01}]
failures:
  description: The message with which each host to blame fails, by host.
  returned: when there are problems
  type: dict
  sample: {gpu01: "RUN_UNKNOWN: see above"}
notices:
  description: What was noticed about the run and stops nothing, as problems are written.
  returned: when a node has the run
  type: list
  elements: dict
  sample: []
exit_code:
  description: The exit code that madctl would have returned.
  returned: when no node has the run
  type: int
  sample: 2
"""

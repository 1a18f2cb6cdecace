#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: run_stop
short_description: Stop a run on all nodes, and verify that nothing of it is left
description:
  - Ends the supervisor of a run gracefully, then every process that carries the run's id.
  - Stopping a finished run changes nothing; a run that no node knows is a problem, C(RUN_UNKNOWN).
  - Runs once per play and does not depend on forks. Fails if a node did not answer, or if a process does not end.
author: The madctl authors
extends_documentation_fragment:
  - madctl.multinode.run
options:
  run_id:
    description: ID of the run; by default the latest run that is still running, otherwise the latest run on the nodes.
    type: str
  grace:
    description: Seconds that processes have to end before they are killed.
    type: float
    default: 45
"""

EXAMPLES = r"""
- name: Stop a run
  madctl.multinode.run_stop:
    run_id: 20261123-example
  run_once: true
"""

RETURN = r"""
run_id:
  description: ID of the run.
  returned: when a run is named, or a node has one
  type: str
  sample: 20261123-143000-1a2b3c4d
nodes:
  description:
    - C(left) by host, the processes of the run that could not be ended, each with its name and state, and C(changed).
    - Nodes that did not answer are missing.
  returned: always
  type: dict
  sample: {gpu01: {changed: true, left: []}}
known:
  description: Whether a node has the run.
  returned: when a run is named, or a node has one
  type: bool
  sample: true
problems:
  description: Nodes that did not answer, and nodes on which processes do not end.
  returned: always
  type: list
  elements: dict
  sample: [{code: LEFT_BEHIND, host: gpu01}]
failures:
  description: The message with which each host to blame fails, by host.
  returned: when there are problems
  type: dict
  sample: {gpu01: "LEFT_BEHIND: see above"}
notices:
  description: What was noticed about the run and stops nothing, as problems are written.
  returned: when a run is named, or a node has one
  type: list
  elements: dict
  sample: []
exit_code:
  description: The exit code that madctl would have returned.
  returned: when no node has a run
  type: int
  sample: 2
"""

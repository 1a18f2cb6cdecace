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
nodes:
  description:
    - C(left) by host, the processes of the run that could not be ended, each with its name and state.
    - Nodes that did not answer are missing.
  returned: always
  type: dict
  sample: {gpu01: {changed: true, left: []}}
problems:
  description: Nodes that did not answer, and nodes on which processes do not end.
  returned: always
  type: list
  elements: dict
  sample: []
"""

#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Stop a run on all nodes; the work is done by the action plugin of this name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: run_stop
short_description: Stop a run on all nodes, with proof that nothing of it is left
description:
  - Ends the supervisor of a run gracefully, then every process that carries the run's id.
  - Stopping a run that is over changes nothing; one that no node knows is a problem, C(RUN_UNKNOWN).
  - Runs once a play and does not depend on forks. Fails when a node did not answer, or something does not end.
author: The madctl authors
extends_documentation_fragment:
  - madctl.multinode.run
options:
  run_id:
    description: Identity of the run; without one the latest that goes on, or else the latest that the nodes hold.
    type: str
  grace:
    description: Seconds until processes are killed.
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
    - By host C(left), the processes of the run that could not be ended, each with its name and state.
    - Nodes that did not answer are missing.
  returned: always
  type: dict
  sample: {gpu01: {changed: true, left: []}}
problems:
  description: Nodes that did not answer, and nodes where something does not end.
  returned: always
  type: list
  elements: dict
  sample: []
"""

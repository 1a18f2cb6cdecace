#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Stop a run on all nodes; the work is done by the action plugin of this name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: run_stop
short_description: Stop a run on all nodes, with proof that nothing of it is left
description:
  - Ends the supervisor of a run gracefully, then every process that carries the run's id.
  - Stopping a run that is over, or was never there, changes nothing.
  - Runs once a play and does not depend on forks. Fails when a node did not answer, or something does not end.
author: The madctl authors
options:
  run_id:
    description: Identity of the run.
    type: str
    required: true
  grace:
    description: Seconds until processes are killed.
    type: float
    default: 45
  run_dir:
    description: Directory that run directories are made in, where it is not the usual one.
    type: str
attributes:
  check_mode:
    description: Can run in check mode; then nothing is stopped.
    support: full
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

#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: run_ps
short_description: List the runs on all nodes
description:
  - Runs once per play and changes nothing.
author: The madctl authors
extends_documentation_fragment:
  - madctl.multinode.run
"""

EXAMPLES = r"""
- name: List
  madctl.multinode.run_ps:
  run_once: true
  register: held
"""

RETURN = r"""
nodes:
  description:
    - The list C(runs) by host, each with C(run_id), C(run_dir), C(state), C(exit), and C(described), what the run's
      directory says about the whole run, or null.
  returned: always
  type: dict
  sample: {gpu01: {runs: [{run_id: 20261123-143000-1a2b3c4d, state: running}]}}
runs:
  description:
    - All runs, the newest first, each with C(run_id), C(name), C(note), C(created), C(status), C(cause), C(exit_code),
      C(ended), C(duration_seconds), C(ranks_joined), C(hosts) and C(work).
  returned: always
  type: list
  elements: dict
  sample: [{run_id: 20261123-143000-1a2b3c4d, status: running}]
problems:
  description: Nodes that did not answer.
  returned: always
  type: list
  elements: dict
  sample: [{code: HOST_UNREACHABLE, host: gpu01}]
failures:
  description: The message with which each host to blame fails, by host.
  returned: when there are problems
  type: dict
  sample: {gpu01: "HOST_UNREACHABLE: see above"}
notices:
  description: What was noticed about the run and stops nothing, as problems are written.
  returned: always
  type: list
  elements: dict
  sample: []
"""

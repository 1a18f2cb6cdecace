#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: k8s_gc
short_description: Remove runs that have ended from a cluster of Kubernetes
description:
  - Deletes the objects of runs that ended some days ago, or those of one run. No live run is touched.
author: The madctl authors
extends_documentation_fragment:
  - madctl.multinode.cluster
options:
  run_id:
    description: ID of the one run to remove, whenever it ended.
    type: str
  days:
    description: How many days ago a run must have ended.
    type: float
    default: 7
  dry_run:
    description: Whether to change nothing, as in check mode.
    type: bool
    default: false
  fail_on_problems:
    description: Whether to fail if there are problems, or only return them.
    type: bool
    default: true
attributes:
  check_mode:
    description: Can run in check mode, and then removes nothing.
    support: full
"""

EXAMPLES = r"""
- name: Remove the runs that ended a month ago
  madctl.multinode.k8s_gc:
    namespace: train
    days: 30
  run_once: true
"""

RETURN = r"""
runs:
  description: The runs that were removed.
  returned: always
  type: list
  elements: str
  sample: [20261123-143000-1a2b3c4d]
problems:
  description: What could not be removed.
  returned: always
  type: list
  elements: dict
  sample: []
failures:
  description: The message with which each host to blame fails, by host.
  returned: when there are problems
  type: dict
  sample: {localhost: "RUN_UNKNOWN: see above"}
exit_code:
  description: The exit code that madctl would have returned.
  returned: after a failure
  type: int
  sample: 2
"""

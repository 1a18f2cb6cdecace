#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: run_gc
short_description: Delete files of old runs on all nodes
description:
  - Deletes directories of runs that ended, or were lost, more than O(days) ago, and programs that no run uses any more.
  - A run that has a process on any node of the play is kept on all of them.
  - Runs once per play.
author: The madctl authors
extends_documentation_fragment:
  - madctl.multinode.run
options:
  days:
    description: Age in days after which a finished run is deleted, by the newest file in its directory.
    type: float
    default: 7
  bases:
    description: More such directories, one list per host.
    type: dict
  dry_run:
    description: Whether to only show what would be deleted.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Delete what is older than a month
  madctl.multinode.run_gc:
    days: 30
  run_once: true
"""

RETURN = r"""
nodes:
  description:
    - C(removed) and C(programs) by host, lists with the size of each in C(bytes); C(held), the runs that are still
      there; and C(stuck), what could not be deleted.
  returned: always
  type: dict
  sample: {gpu01: {removed: [{run_id: 20261123-143000-1a2b3c4d, bytes: 8192}], programs: [], held: [], stuck: []}}
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

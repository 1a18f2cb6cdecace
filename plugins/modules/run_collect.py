#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: run_collect
short_description: Fetch what a run left on its nodes
description:
  - Brings logs, events and exit records of all nodes to the controller, a directory a node.
  - Runs once a play and changes nothing on the nodes.
  - Takes up to 100,000 files and directories with plain names from a node; one that sends anything else is refused.
author: The madctl authors
extends_documentation_fragment:
  - madctl.multinode.run
  - madctl.multinode.run.which
options:
  dest:
    description: Directory on the controller that gets a directory a node; one by the run's id where none is given.
    type: str
  max_size:
    description: Bytes that the files of one node may have; a node with more is refused whole.
    type: int
    default: 4294967296
"""

EXAMPLES = r"""
- name: Fetch
  madctl.multinode.run_collect:
    run_id: 20261123-143000-1a2b3c4d
    dest: /tmp/run
  run_once: true
"""

RETURN = r"""
nodes:
  description: By host the directory on the controller.
  returned: always
  type: dict
  sample: {gpu01: /tmp/run/gpu01}
problems:
  description: Nodes that gave nothing.
  returned: always
  type: list
  elements: dict
  sample: []
"""

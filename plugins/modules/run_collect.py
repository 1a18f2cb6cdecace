#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: run_collect
short_description: Fetch the files of a run from its nodes
description:
  - Fetches logs, events and exit records of all nodes to the controller, into one directory per node.
  - Runs once per play and changes nothing on the nodes.
  - Accepts up to 100,000 files and directories with plain names per node; a node that sends anything else is refused.
author: The madctl authors
extends_documentation_fragment:
  - madctl.multinode.run
  - madctl.multinode.run.which
options:
  dest:
    description: Directory on the controller for one subdirectory per node; by default one with the name of the run.
    type: str
  max_size:
    description: Bytes that one node may send; nothing is fetched from a node with more.
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
run_id:
  description: ID of the run.
  returned: when a node has the run
  type: str
  sample: 20261123-143000-1a2b3c4d
nodes:
  description: The directory on the controller, by host.
  returned: always
  type: dict
  sample: {gpu01: /tmp/run/gpu01}
dest:
  description: Directory on the controller with the directories of all nodes.
  returned: when a node has the run
  type: str
  sample: /tmp/run
problems:
  description: Nodes that sent nothing, and why.
  returned: always
  type: list
  elements: dict
  sample: [{code: DEST_IN_USE, host: gpu01}]
failures:
  description: The message with which each host to blame fails, by host.
  returned: when there are problems
  type: dict
  sample: {gpu01: "DEST_IN_USE: see above"}
warning_list:
  description: Files that a node left out.
  returned: when files were fetched
  type: list
  elements: dict
  sample: []
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

#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: compare_nodes
short_description: Compare all nodes in one respect
description:
  - Fails with every problem of every node, or returns the result for each node.
  - For storage, nodes read small files that other nodes wrote; the files are deleted.
author: The madctl authors
options:
  facts_from:
    description: Name of the variable in which M(madctl.multinode.node_info) was registered.
    type: str
    required: true
  about:
    description: What to compare.
    type: str
    choices: [network, storage, gpus]
    required: true
  interface:
    description: Name of the interface to use, or its network, for O(about=network).
    type: str
  fstypes:
    description: File-system types to treat as shared, besides the known ones, for O(about=storage).
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Choose every node's interface
  madctl.multinode.compare_nodes:
    facts_from: node
    about: network
  register: network
"""

RETURN = r"""
nodes:
  description: The result, by node.
  returned: success
  type: dict
  sample: {gpu01: {interface: ib0, address: 192.0.2.1}}
"""

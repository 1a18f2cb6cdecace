#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: compare_nodes
short_description: Judge one thing across all nodes, once
description:
  - Fails with every problem of every node, or returns what was found for each.
  - For storage, nodes read what other nodes wrote; nothing of it is left.
author: The madctl authors
options:
  facts_from:
    description: Name of the variable that M(madctl.multinode.node_info) was registered in.
    type: str
    required: true
  about:
    description: What is judged.
    type: str
    choices: [network, storage, gpus]
    required: true
  interface:
    description: Name or network of the interface to use, for O(about=network).
    type: str
  fstypes:
    description: Types of file systems that count as shared beside the known ones, for O(about=storage).
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
  description: What was found, by node.
  returned: success
  type: dict
  sample: {gpu01: {interface: ib0, address: 192.0.2.1}}
"""

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
  description: >-
    What was compared, by host: C(interface), C(address), C(also) and C(candidates) of the network, C(mounts) of the
    storage, or the GPUs, among them their C(count).
  returned: success
  type: dict
  sample: {gpu01: {interface: ib0, address: 192.0.2.1}}
problems:
  description: Every problem, with C(code), C(host), C(message) and C(remedy).
  returned: failure
  type: list
  elements: dict
  sample: [{code: STORAGE_DIFFERS, host: gpu02}]
"""

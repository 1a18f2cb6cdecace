#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rendezvous
short_description: Inspect all nodes at once and plan a launch, or list every problem
description:
  - Inspects every host of the play, assigns ranks, chooses every node's interface, the master address and port, and
    writes the exact command line and environment of every node.
  - Runs once per play and does not depend on forks.
  - Nodes are ordered by C(madctl_node_rank) if all have it, otherwise by the inventory.
author: The madctl authors
extends_documentation_fragment:
  - madctl.multinode.request
  - madctl.multinode.request.probe
  - madctl.multinode.run
options:
  prove:
    description: Whether to prove now that nodes reach each other and share storage; a launch does so while it arms.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Plan the launch
  madctl.multinode.rendezvous:
    work: [train.py]
  register: launch
"""

RETURN = r"""
plan:
  description: The whole plan.
  returned: when there is no problem
  type: dict
  sample: {world_size: 4}
without_ifconfig:
  description: Nodes that need net-tools before a plan can be made.
  returned: success
  type: list
  elements: str
  sample: []
problems:
  description: Every problem with C(code), C(host), C(message) and C(remedy); if there is one, there is no plan.
  returned: always
  type: list
  elements: dict
  sample: [{code: PORT_IN_USE, host: gpu01}]
"""

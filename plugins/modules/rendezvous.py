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
  description: The whole plan, which M(madctl.multinode.run_launch) takes; null without one.
  returned: when the nodes were inspected
  type: dict
  sample: {world_size: 4}
nodes:
  description: The rank, interface, address, command line and environment of each node, by host; empty without a plan.
  returned: when the nodes were inspected
  type: dict
  sample: {gpu01: {node_rank: 0, interface: ib0, address: 192.0.2.1}}
problems:
  description: Every problem, with C(code), C(host), C(message) and C(remedy); if there is one, there is no plan.
  returned: always
  type: list
  elements: dict
  sample: [{code: PORT_IN_USE, host: gpu01}]
failures:
  description: The message with which each host to blame fails, by host.
  returned: when there are problems
  type: dict
  sample: {gpu01: "PORT_IN_USE: see above"}
checks:
  description: V(ok), V(warn), V(FAIL) or V(-), by host and check.
  returned: after O(prove), and when the launch is refused
  type: dict
  sample: {gpu01: {reach: ok, storage: FAIL}}
without_ifconfig:
  description: Nodes that need net-tools before a plan can be made.
  returned: when the task inspected the nodes
  type: list
  elements: str
  sample: []
warning_list:
  description: Warnings of the checks, as problems are written.
  returned: when the nodes were inspected
  type: list
  elements: dict
  sample: []
candidates:
  description: The interfaces of each node and why they were or were not chosen, by host.
  returned: when the nodes were inspected
  type: dict
  sample: {gpu01: [{interface: ib0, verdict: chosen}]}
fingerprints:
  description: What distinguishes the software of each node, by host.
  returned: when the nodes were inspected
  type: dict
  sample: {}
"""

#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Prove what a plan assumes; the work is done by the action plugin of this name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: prove
short_description: Prove what a plan assumes, and give the verdict of all checks
description:
  - Every node connects to the first one from its own address, and reads the files that other nodes wrote.
  - Fails with all problems, those of the plan and its own. Nothing of the proof is left on any node.
  - Runs once a play.
author: The madctl authors
options:
  judged:
    description: What M(madctl.multinode.plan) returned.
    type: dict
    required: true
  show:
    description: Whether to show the table of nodes and checks.
    type: bool
    default: false
  fail_on_problems:
    description: Whether to fail with the problems, or only to return them.
    type: bool
    default: true
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
"""

EXAMPLES = r"""
- name: Prove
  madctl.multinode.prove:
    judged: "{{ rendezvous_result }}"
  run_once: true
"""

RETURN = r"""
checks:
  description: By host and check V(ok), V(warn), V(FAIL), or V(-) where a check says nothing.
  returned: always
  type: dict
  sample: {gpu01: {network: ok}}
candidates:
  description: By host every address with the reason why it was chosen or not.
  returned: always
  type: dict
  sample: {gpu01: [{interface: docker0, address: 172.17.0.1, verdict: another node has this address too}]}
problems:
  description: Every problem with C(code), C(host), C(message) and C(remedy).
  returned: always
  type: list
  elements: dict
  sample: [{code: CONNECT_FILTERED, host: gpu02}]
"""

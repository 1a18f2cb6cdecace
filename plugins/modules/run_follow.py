#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: run_follow
short_description: Follow a run that was started before
description:
  - Sends the output of all nodes from the first byte, then follows the run to its end.
  - Runs once a play. Its end changes nothing for the run.
author: The madctl authors
options:
  run_id:
    description:
      - Identity of the run, or its beginning, where O(plan) is not at hand.
      - Without both, the latest run that the nodes hold.
    type: str
  plan:
    description: The plan of the run.
    type: dict
  run_dir:
    description: Directory on the nodes that run directories are in; C(/var/tmp/madctl-UID) where none is given.
    type: str
  follow:
    description: Whether to wait for more than is there.
    type: bool
    default: true
  since:
    description:
      - Where to begin, V(now) for the end, V(10m) for so long ago, or a time.
      - The first byte where it is left out.
    type: str
  read_only:
    description: Whether a failure or an interrupt only ends the following, and not the run.
    type: bool
    default: false
  event_socket:
    description: Path of a socket that gets the events instead of the screen.
    type: str
  fail_on_problems:
    description: Whether to fail with the problems, or only to return them.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Follow
  madctl.multinode.run_follow:
    plan: "{{ rendezvous_result.plan }}"
  run_once: true
"""

RETURN = r"""
summary:
  description: How every node ended.
  returned: when followed to the end
  type: dict
  sample: {ranks_joined: 4}
"""

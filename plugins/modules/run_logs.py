#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: run_logs
short_description: Follow a run that was started before
description:
  - Sends the output of all nodes from the first byte, then follows the run to its end.
  - Runs once a play. Its end changes nothing for the run.
author: The madctl authors
extends_documentation_fragment:
  - madctl.multinode.run
  - madctl.multinode.run.which
options:
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
"""

EXAMPLES = r"""
- name: Follow
  madctl.multinode.run_logs:
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

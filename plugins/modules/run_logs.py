#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: run_logs
short_description: Follow a run that was started before
description:
  - Shows the output of all nodes from the first byte, then follows the run to its end.
  - Runs once per play. When it ends, the run continues.
author: The madctl authors
extends_documentation_fragment:
  - madctl.multinode.run
  - madctl.multinode.run.which
options:
  follow:
    description: Whether to wait for more output until the run ends.
    type: bool
    default: true
  since:
    description:
      - Start of the output. V(now) is the end, V(10m) is ten minutes ago; a time also works.
      - By default the first byte.
    type: str
  read_only:
    description: Whether a failure or an interrupt only ends this task, and not the run.
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
  description: How the run ended on every node.
  returned: when followed to the end
  type: dict
  sample: {ranks_joined: 4}
"""

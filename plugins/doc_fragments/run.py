# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that all modules about runs have in common."""

from __future__ import annotations


class ModuleDocFragment:
    """Parts of documentation; the fragment is named after its file."""

    DOCUMENTATION = r"""
options:
  run_dir:
    description: Parent of the run directories on the nodes, C(/var/tmp/madctl-UID) by default.
    type: str
  fail_on_problems:
    description: Whether to fail if there are problems, or only return them.
    type: bool
    default: true
attributes:
  check_mode:
    description: Can run in check mode, and then changes nothing on any node and fetches nothing.
    support: full
"""

    SHOWN = r"""
options:
  show_hosts:
    description: Hosts whose output is shown, in names or lists such as V(gpu[1-3]); by default all.
    type: list
    elements: str
    default: []
  show_ranks:
    description: Ranks whose output is shown, in numbers or lists such as V(0-3,7); by default all, and the runners.
    type: list
    elements: str
    default: []
"""

    WHICH = r"""
options:
  run_id:
    description:
      - ID of the run, or the beginning of it, if O(plan) is not available.
      - By default the latest run on the nodes.
    type: str
  plan:
    description: The plan of the run.
    type: dict
"""

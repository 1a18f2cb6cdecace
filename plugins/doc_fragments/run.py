# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that all modules about runs have in common."""

from __future__ import annotations


class ModuleDocFragment:
    """Parts of documentation; the fragment has the name of the file."""

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

# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that modules which act on runs have in common."""

from __future__ import annotations


class ModuleDocFragment:
    """Parts of documentation; the file's name is the fragment's."""

    DOCUMENTATION = r"""
options:
  run_dir:
    description: Directory on the nodes that run directories are in; C(/var/tmp/madctl-UID) where none is given.
    type: str
  fail_on_problems:
    description: Whether to fail with the problems, or only to return them.
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
      - Identity of the run, or its beginning, where O(plan) is not at hand.
      - Without both, the latest run that the nodes hold.
    type: str
  plan:
    description: The plan of the run.
    type: dict
"""

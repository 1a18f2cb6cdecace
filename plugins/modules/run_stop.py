#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Stop a node's share of a run."""

from __future__ import annotations

DOCUMENTATION = r"""
module: run_stop
short_description: Stop a node's share of a run
description:
  - Ends the supervisor of a run gracefully, then every process that carries the run's id.
  - Stopping a run that is over, or was never there, changes nothing.
author: The madctl authors
options:
  run_id:
    description: Identity of the run.
    type: str
    required: true
  grace:
    description: Seconds until processes are killed.
    type: float
    default: 45
  run_dir:
    description: Directory that run directories are made in, where it is not the usual one.
    type: str
attributes:
  check_mode:
    description: Can run in check mode; then nothing is stopped.
    support: full
"""

EXAMPLES = r"""
- name: Stop a run
  madctl.multinode.run_stop:
    run_id: 20261123-example
"""

RETURN = r"""
left:
  description: Processes of the run that could not be ended, each with its name and state.
  returned: always
  type: list
  elements: str
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.madctl.multinode.plugins.module_utils import _runs


def main():
    """Stop and report."""
    module = AnsibleModule(
        argument_spec={
            "run_id": {"type": "str", "required": True},
            "grace": {"type": "float", "default": 45},
            "run_dir": {"type": "str"},
        },
        supports_check_mode=True,
    )
    run_id, base = module.params["run_id"], module.params["run_dir"] or _runs.default_base()
    found = not _runs.is_over(run_id, base)
    if module.check_mode or not found:
        module.exit_json(changed=found, left=[])
    left = _runs.stop(run_id, base, module.params["grace"])
    if left:
        module.fail_json(msg="LEFT_BEHIND: these do not end: %s" % ", ".join(left), left=left)
    module.exit_json(changed=True, left=left)


if __name__ == "__main__":
    main()

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
  description: Process ids that carry the run's id and could not be ended.
  returned: always
  type: list
  elements: int
  sample: []
"""

import contextlib
import os
import signal
import time

from ansible.module_utils.basic import AnsibleModule


def find(run_id):
    """Find the supervisor by its command line and the job's processes by their environment."""
    supervisors, marked = [], []
    mark = ("MADCTL_RUN_ID=" + run_id).encode()
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/cmdline" % entry, "rb") as stream:
                words = stream.read().split(b"\0")
            with open("/proc/%s/environ" % entry, "rb") as stream:
                environment = stream.read().split(b"\0")
        except OSError:
            continue
        if any(word.endswith(b"/_supervisor.py") for word in words) and any(
            os.path.basename(word) == run_id.encode() for word in words
        ):
            supervisors.append(int(entry))
        elif mark in environment:
            marked.append(int(entry))
    return supervisors, marked


def send(pids, number):
    """Signal processes that may have gone in the meantime."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def stop(run_id, grace):
    """Stop, and return what could not be stopped."""
    deadline = time.monotonic() + grace
    supervisors, marked = find(run_id)
    send(supervisors, signal.SIGTERM)
    while (supervisors or marked) and time.monotonic() < deadline:
        if not supervisors:
            send(marked, signal.SIGKILL)
        time.sleep(0.05)
        supervisors, marked = find(run_id)
    send(supervisors + marked, signal.SIGKILL)
    return marked


def main():
    """Stop and report."""
    module = AnsibleModule(
        argument_spec={"run_id": {"type": "str", "required": True}, "grace": {"type": "float", "default": 45}},
        supports_check_mode=True,
    )
    run_id = module.params["run_id"]
    found = any(find(run_id))
    if module.check_mode or not found:
        module.exit_json(changed=found, left=[])
    left = stop(run_id, module.params["grace"])
    if left:
        module.fail_json(msg="LEFT_BEHIND: processes %s of run %s are still there" % (left, run_id), left=left)
    module.exit_json(changed=True, left=left)


if __name__ == "__main__":
    main()

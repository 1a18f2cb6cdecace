#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: slurm_job_info
short_description: Show the state or the output of a run in a job of Slurm
description:
  - Reads the files of a run on a login node, the only host of the play. Slurm is asked only where they are silent.
  - No order reaches the run.
author: The madctl authors
extends_documentation_fragment:
  - madctl.multinode.run.shown
options:
  run_id:
    description: ID of the run; by default the latest one.
    type: str
  run_root:
    description: Directory of the files of runs. It has to be given.
    type: str
  conf:
    description: Configuration file of Slurm, if it is not the usual one of the login node.
    type: str
  output:
    description: Whether to show the output.
    type: bool
    default: false
  follow:
    description: Whether to show also what comes until the end of the run.
    type: bool
    default: false
  since:
    description: Refused, as all output is shown.
    type: str
  lines:
    description: Refused, as all output is shown.
    type: int
  event_socket:
    description: Path of a socket that gets the events instead of the screen.
    type: str
  fail_on_problems:
    description: Whether to fail if there are problems, or only return them.
    type: bool
    default: true
attributes:
  check_mode:
    description: Can run in check mode, which makes no difference.
    support: full
"""

EXAMPLES = r"""
- name: Ask how the latest run stands
  madctl.multinode.slurm_job_info:
    run_root: /shared/me/runs
  run_once: true
  register: run
"""

RETURN = r"""
run_id:
  description: ID of the run.
  returned: when there is such a run
  type: str
  sample: 20261123-143000-1a2b3c4d
job_id:
  description: ID of the job.
  returned: when there is such a run
  type: str
  sample: "4711"
run_dir:
  description: Directory of the run on the login node and on the job's nodes.
  returned: when there is such a run
  type: str
  sample: /shared/me/runs/20261123-143000-1a2b3c4d
status:
  description: V(queued), V(running), V(succeeded), V(failed) or V(stopped).
  returned: when there is such a run
  type: str
  sample: running
cause:
  description: What failed first, or what the job waits for; null if neither.
  returned: when there is such a run
  type: str
  sample: "Resources"
nodes:
  description: What each node of the run does, by host.
  returned: when there is such a run
  type: dict
  sample: {gpu01: {state: running}}
problems:
  description: Why it is unknown, or cannot be read.
  returned: always
  type: list
  elements: dict
  sample: []
plan:
  description: The plan of the run; null before the job has made it.
  returned: when there is such a run
  type: dict
  sample: {world_size: 4}
host:
  description: The host of what failed first; null without a failure.
  returned: when there is such a run
  type: str
  sample: gpu01
rank:
  description: The rank that failed first; null if none did.
  returned: when there is such a run
  type: int
  sample: 3
began:
  description: When the run began, in seconds since 1970; null if it has not.
  returned: when there is such a run
  type: float
  sample: 1795439394.2
ended:
  description: When the run ended, in seconds since 1970; null if it has not.
  returned: when there is such a run
  type: float
  sample: 1795439400.5
exit_code:
  description: The exit code that madctl would have returned; null while the run is not over.
  returned: when there is such a run, and after a failure
  type: int
  sample: 0
summary:
  description: How the run ended on every node.
  returned: when the output was read to the end
  type: dict
  sample: {ranks_joined: 4, duration_seconds: 6.2}
detached:
  description: Whether the run continues without this task.
  returned: when the output was read
  type: bool
  sample: false
restarts:
  description: The restarts of the run, each with C(run_id), C(replaced) and C(after), the problem that it followed.
  returned: when the output was read to the end
  type: list
  elements: dict
  sample: []
failures:
  description: The message with which each host to blame fails, by host.
  returned: when there are problems
  type: dict
  sample: {login: "RUN_UNKNOWN: see above"}
"""

#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: slurm_job
short_description: Submit a launch as a job of Slurm, and follow it to its end
description:
  - Submits a run on a login node, the only host of the play, with the request of a launch. The job inspects its nodes,
    plans and starts by itself, so its nodes need neither Ansible nor a way to reach them.
  - A run that was submitted before, by its O(run_id), is followed and not submitted again.
  - In check mode Slurm judges the job and does not queue it; the difference is its script and the command of sbatch.
  - Values of O(env) travel over the connection, and in a file that the job removes; they are in no argument.
author: The madctl authors
extends_documentation_fragment:
  - madctl.multinode.request
  - madctl.multinode.request.probe
  - madctl.multinode.run
  - madctl.multinode.run.shown
options:
  state:
    description: What to make true. V(submitted) submits the run and follows it; V(stopped) ends its job; V(absent)
      also removes its directory.
    type: str
    choices:
      - submitted
      - stopped
      - absent
    default: submitted
  run_root:
    description: Directory of the files of runs, which the login node and all nodes of the job see. It has to be
      given.
    type: str
  nodes:
    description: Number of nodes of the job; those beyond O(nnodes) are spares. It has to be given to submit.
    type: int
  partition:
    description: Partition of the job.
    type: str
  account:
    description: Account that the job is charged to.
    type: str
  qos:
    description: Quality of service.
    type: str
  time:
    description: Time limit of the job, as sbatch takes it, in quotes.
    type: str
  constraint:
    description: Features that nodes must have.
    type: str
  reservation:
    description: Reservation whose nodes are used.
    type: str
  nodelist:
    description: Nodes that the job must have.
    type: str
  exclude:
    description: Nodes that the job must not have.
    type: str
  gpus_per_node:
    description: GPUs per node, as C(N) or C(TYPE:N).
    type: str
  gres:
    description: Generic resources per node, in the place of O(gpus_per_node).
    type: str
  dependency:
    description: Jobs that this one waits for, as sbatch takes it.
    type: str
  begin:
    description: Time until which the job waits, as sbatch takes it.
    type: str
  exclusive:
    description: Whether to share no node with other jobs.
    type: bool
    default: false
  args:
    description: More options of sbatch, each as C(--name) or C(--name=value), quoted as for a shell.
    type: str
  conf:
    description: Configuration file of Slurm, if it is not the usual one of the login node.
    type: str
  grace:
    description: Seconds that ranks have to end when the run is stopped.
    type: float
    default: 45
  timeout:
    description: Seconds after which the job is stopped. V(0) means no limit.
    type: float
    default: 0
  idle_timeout:
    description: Seconds without a single byte of output of any rank, such as a progress bar that moves, after which
      stack traces are dumped and the job is stopped. V(0) is no limit.
    type: float
    default: 0
  log_cap:
    description: Bytes of each log that a node keeps, the newest.
    type: int
    default: 1073741824
  name:
    description: What to call the run; up to 40 letters, digits, dots, dashes and underscores.
    type: str
  note:
    description: A line to remember about the run.
    type: str
  detach:
    description: Whether to return after the submission and leave the job in the queue.
    type: bool
    default: false
  dry_run:
    description: Whether to show what would start, and start nothing, as in check mode.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Submit, and wait for the end
  madctl.multinode.slurm_job:
    work: [/shared/me/train.py]
    nodes: 4
    gpus_per_node: 8
    run_root: /shared/me/runs
  run_once: true

- name: End it
  madctl.multinode.slurm_job:
    state: stopped
    run_id: 20261123-143000-1a2b3c4d
    run_root: /shared/me/runs
  run_once: true
"""

RETURN = r"""
job_id:
  description: ID of the job; null without one.
  returned: always
  type: str
  sample: "4711"
run_id:
  description: ID of the run.
  returned: always
  type: str
  sample: 20261123-143000-1a2b3c4d
run_dir:
  description: Directory of the run on the login node and on the job's nodes; null without a job.
  returned: always
  type: str
  sample: /shared/me/runs/20261123-143000-1a2b3c4d
state:
  description: V(submitted), V(succeeded), V(failed), V(stopped) or V(absent); null if nothing of it came true.
  returned: always
  type: str
  sample: succeeded
summary:
  description: How the run ended on every node.
  returned: when the run started and ended
  type: dict
  sample: {ranks_joined: 4, duration_seconds: 6.2}
problems:
  description: >-
    Every problem, with C(code), C(host), C(message) and C(remedy), the first failure first; empty after a success.
  returned: always
  type: list
  elements: dict
  sample: [{code: RANK_FAILED, host: gpu01, rank: 3}]
failures:
  description: The message with which each host to blame fails, by host.
  returned: when there are problems
  type: dict
  sample: {login: "RANK_FAILED: see above"}
exit_code:
  description: The exit code that madctl would have returned.
  returned: always
  type: int
  sample: 6
ended:
  description: When the run ended, in seconds since 1970.
  returned: when the run started and ended
  type: float
  sample: 1795439400.5
detached:
  description: Whether the run continues without this task.
  returned: when the run was followed, or left in the background
  type: bool
  sample: false
restarts:
  description: The restarts of the run, each with C(run_id), C(replaced) and C(after), the problem that it followed.
  returned: when the run was followed
  type: list
  elements: dict
  sample: []
judged:
  description: Whether Slurm only judged the job.
  returned: in check mode
  type: bool
  sample: true
argv:
  description: The command line of sbatch.
  returned: in check mode
  type: list
  elements: str
  sample: [sbatch, --nodes=4]
script:
  description: The script of the job.
  returned: in check mode
  type: str
  sample: "#!/bin/sh"
remarks:
  description: The lines that Slurm printed about the job.
  returned: in check mode
  type: list
  elements: str
  sample: []
checks:
  description: V(ok), V(warn), V(FAIL) or V(-), by host and check.
  returned: when nodes were only checked, or refused
  type: dict
  sample: {gpu01: {reach: ok, storage: FAIL}}
warning_list:
  description: Warnings of the checks, as problems are written.
  returned: when nodes were only checked, or refused
  type: list
  elements: dict
  sample: []
"""

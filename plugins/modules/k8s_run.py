#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: k8s_run
short_description: Follow a run in a cluster of Kubernetes to its end, or end it
description:
  - Follows a run that M(kubernetes.core.k8s) has created, and shows what its pods print; or stops or removes one.
  - An interrupt stops the run in order, a second one at once. A run whose pods cannot start is removed.
author: The madctl authors
extends_documentation_fragment:
  - madctl.multinode.cluster
  - madctl.multinode.run.shown
options:
  state:
    description: >-
      What to make true. V(submitted) creates the run and follows it; V(checked) has its pods check what a launch would
      check, and removes it; V(stopped) ends it; V(absent) also removes what is left of it.
    type: str
    choices: [submitted, checked, stopped, absent]
    default: submitted
  run_id:
    description: ID of the run. To stop or remove, the latest by default.
    type: str
  refusal:
    description: Why the run was not drafted, as RV(madctl.multinode.k8s_draft#module:refusal); the task fails with it.
    type: str
  is_new:
    description: Whether the run was to be created now.
    type: bool
    default: false
  failure:
    description: What M(kubernetes.core.k8s) said if it failed. The task fails with it, and what was created is removed.
    type: str
  difference:
    description: What C(--diff) shows of a new run.
    type: str
  env:
    description: Environment variables of the job, whose secret values are shown nowhere.
    type: dict
    default: {}
  name:
    description: What to call the run.
    type: str
  detach:
    description: Whether to return at once and leave the run in the cluster.
    type: bool
    default: false
  start_timeout:
    description: Seconds that a pod may be in a state that no time cures, such as one without its image.
    type: float
    default: 60
  dry_run:
    description: Whether to change nothing, as in check mode.
    type: bool
    default: false
  fail_on_problems:
    description: Whether to fail if there are problems, or only return them.
    type: bool
    default: true
attributes:
  check_mode:
    description: Can run in check mode, and then follows and ends nothing.
    support: full
"""

EXAMPLES = r"""
- name: End the latest run
  madctl.multinode.k8s_run:
    state: stopped
  run_once: true
"""

RETURN = r"""
run_id:
  description: ID of the run.
  returned: always
  type: str
  sample: 20261123-143000-1a2b3c4d
job:
  description: Name of its Job, and of its other objects.
  returned: when it was created or followed
  type: str
  sample: madctl-20261123-143000-1a2b3c4d
namespace:
  description: Namespace of the run.
  returned: when it was created or followed
  type: str
  sample: train
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
  sample: [{code: RANK_FAILED, host: pod-1, rank: 3}]
failures:
  description: The message with which each host to blame fails, by host.
  returned: when there are problems
  type: dict
  sample: {localhost: "RANK_FAILED: see above"}
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
  returned: when the run started and ended
  type: list
  elements: dict
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

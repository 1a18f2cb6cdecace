#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: k8s_run_info
short_description: Show the state or the output of a run in a cluster of Kubernetes
description:
  - Asks the cluster about the job and the pods of a run. No order reaches the run.
author: The madctl authors
extends_documentation_fragment:
  - madctl.multinode.cluster
  - madctl.multinode.run.shown
options:
  run_id:
    description: ID of the run; by default the latest one in the namespace.
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
  madctl.multinode.k8s_run_info:
    namespace: train
  run_once: true
  register: run
"""

RETURN = r"""
status:
  description: C(queued), C(running), C(succeeded), C(failed) or C(stopped).
  returned: when there is such a run
  type: str
  sample: running
cause:
  description: What failed first, or what the run waits for.
  returned: when there is such a run
  type: str
  sample: "pod-1: ImagePullBackOff"
nodes:
  description: What each node of the run does, by host.
  returned: when there is such a run
  type: dict
  sample: {pod-0: {state: running}}
problems:
  description: Why it is unknown, or cannot be read.
  returned: always
  type: list
  elements: dict
  sample: []
run_id:
  description: ID of the run.
  returned: when there is such a run
  type: str
  sample: 20261123-143000-1a2b3c4d
job:
  description: Name of its Job, and of its other objects.
  returned: when there is such a run
  type: str
  sample: madctl-20261123-143000-1a2b3c4d
namespace:
  description: Namespace in which it was looked for.
  returned: always
  type: str
  sample: train
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
failures:
  description: The message with which each host to blame fails, by host.
  returned: when there are problems
  type: dict
  sample: {localhost: "RUN_UNKNOWN: see above"}
exit_code:
  description: The exit code that madctl would have returned.
  returned: after a failure
  type: int
  sample: 2
"""

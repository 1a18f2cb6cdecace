#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: k8s_draft
short_description: Draft the objects of a run in a cluster of Kubernetes
description:
  - Writes the Secret, ConfigMap, Service and Job of a run for M(kubernetes.core.k8s), unless the cluster has
    the run already. Nothing is created.
  - The result has the Secret, so the task needs C(no_log). That would hide a failure, so there is none; what is refused
    is in RV(refusal), and M(madctl.multinode.k8s_run) fails with it.
author: The madctl authors
requirements:
  - kubernetes.core (collection) >= 5
extends_documentation_fragment:
  - madctl.multinode.request
  - madctl.multinode.request.probe
  - madctl.multinode.cluster
options:
  state:
    description: >-
      What to make true. V(submitted) creates the run and follows it; V(checked) has its pods check what a launch would
      check, and removes it; V(stopped) ends it; V(absent) also removes what is left of it.
    type: str
    choices: [submitted, checked, stopped, absent]
    default: submitted
  image:
    description: Container image of the pods, with Python 3.8 or later as C(python3). It has to be given to submit.
    type: str
  image_pull_policy:
    description: When nodes pull the image, V(Always), V(IfNotPresent) or V(Never). By default as the cluster does it.
    type: str
  image_pull_secrets:
    description: Names of Secrets for the registry of the image.
    type: list
    elements: str
    default: []
  gpus_per_node:
    description: Number of GPUs of each pod.
    type: int
  gpu_resource:
    description: >-
      Name by which the cluster offers its GPUs, V(amd.com/gpu) or V(nvidia.com/gpu). It has to be given with
      GPUs.
    type: str
  cpu:
    description: CPUs of each pod, such as V(8), in quotes; request and limit.
    type: str
  memory:
    description: Memory of each pod, such as V(64Gi); request and limit.
    type: str
  shm_size:
    description: Size of C(/dev/shm), a part of the memory. By default half the memory of the node.
    type: str
  resources:
    description: More resources of each pod, such as V(rdma/hca=1).
    type: list
    elements: str
    default: []
  node_selector:
    description: Labels that nodes must have, such as V(pool=train).
    type: list
    elements: str
    default: []
  tolerations:
    description: Taints that pods tolerate, as C(KEY[=VALUE][:EFFECT]).
    type: list
    elements: str
    default: []
  exclusive:
    description: Whether no two pods of madctl share a node.
    type: bool
    default: false
  priority_class:
    description: Priority class of the pods.
    type: str
  scheduler_name:
    description: Scheduler of the pods, if it is not the usual one.
    type: str
  queue:
    description: Local queue of Kueue that the run waits in.
    type: str
  service_account:
    description: Service account of the pods, which get no token of it.
    type: str
  run_as_user:
    description: Number of the user that pods run as; needed where the image has a user other than root.
    type: int
  host_network:
    description: Whether pods are on the network of their nodes.
    type: bool
    default: false
  volumes:
    description: Persistent volume claims, and where pods see them, as C(CLAIM:PATH) or C(CLAIM:PATH:ro).
    type: list
    elements: str
    default: []
  send_script:
    description: Whether to send the script, up to 256 KiB, to the pods, whose image does not have it.
    type: bool
    default: false
  ttl:
    description: Seconds after its end at which the cluster removes the run, logs included; at least 60.
    type: float
  run_root:
    description: Directory in a volume where pods keep the files of the run.
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
  run_dir:
    description: Directory in the pods in which run directories are created.
    type: str
  dry_run:
    description: Whether to change nothing, as in check mode.
    type: bool
    default: false
attributes:
  check_mode:
    description: Can run in check mode, which makes no difference.
    support: full
"""

EXAMPLES = r"""
- name: Draft a run
  madctl.multinode.k8s_draft:
    work: [/opt/train.py]
    image: registry.example.org/team/train:1.2
    nnodes: 4
    gpus_per_node: 8
    gpu_resource: amd.com/gpu
  run_once: true
  no_log: true
  register: draft

- name: Create it
  kubernetes.core.k8s:
    resource_definition: "{{ draft.objects }}"
  when: draft.is_new
  no_log: true
"""

RETURN = r"""
objects:
  description: The objects, in the order in which they are created.
  returned: when there is something to create
  type: list
  elements: dict
  sample: []
is_new:
  description: Whether there is something to create.
  returned: always
  type: bool
  sample: true
is_dry:
  description: Whether the server only judges the objects.
  returned: always
  type: bool
  sample: false
difference:
  description: The objects as people read them, without the Secret.
  returned: always
  type: str
  sample: ""
run_id:
  description: ID of the run.
  returned: always
  type: str
  sample: 20261123-143000-1a2b3c4d
refusal:
  description: Why there is no run, with a line for each problem.
  returned: always
  type: str
  sample: ""
"""

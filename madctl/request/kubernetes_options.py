# SPDX-License-Identifier: Apache-2.0
"""Options of a launch inside of pods: what each pod has and where Kubernetes may put it."""

from __future__ import annotations

import argparse

from madctl.request.options import add_option

# The options of Kubernetes alone: what each takes, and its help.
_WORDS = {
    "--kubeconfig": ("FILE", "configuration of the cluster (default: $KUBECONFIG, or ~/.kube/config)"),
    "--context": ("NAME", "context of that file (default: its current one)"),
    "--namespace": ("NAME", "namespace of the run (default: that of the context)"),
    "--image": ("IMAGE", "container image with python3 and what the job needs"),
    "--image-pull-policy": ("POLICY", "Always, IfNotPresent or Never"),
    "--image-pull-secret": ("NAME", "Secret that the image is pulled with (repeatable)"),
    "--gpu-resource": ("NAME", "what GPUs are called: amd.com/gpu, nvidia.com/gpu"),
    "--cpu": ("QUANTITY", "CPUs of each pod: 8, 500m"),
    "--memory": ("QUANTITY", "memory of each pod: 64Gi"),
    "--shm-size": ("QUANTITY", "size of /dev/shm, a part of the memory: 16Gi"),
    "--resource": ("NAME=N", "another device of each pod: rdma/hca=1 (repeatable)"),
    "--node-selector": ("KEY=VALUE", "label that nodes must have (repeatable)"),
    "--toleration": ("KEY[=VALUE][:EFFECT]", "taint of nodes that does not matter (repeatable)"),
    "--priority-class": ("NAME", "priority class of the pods"),
    "--scheduler-name": ("NAME", "scheduler that places the pods"),
    "--queue": ("NAME", "local queue of Kueue, in which the run waits for its quota"),
    "--service-account": ("NAME", "service account of the pods; they get no token of it"),
    "--run-as-user": ("UID", "run as this user, and with the rights that the Pod Security level restricted allows"),
    "--host-network": (None, "use the network of the nodes instead of one of the pods"),
    "--volume": ("CLAIM:PATH[:ro]", "persistent volume claim, and where pods see it (repeatable)"),
    "--send-script": (None, "send the script to the pods, because the image does not have it"),
    "--ttl": ("TIME", "have Kubernetes delete the run TIME after its end, logs included (default: madctl gc does)"),
}


def add_kubernetes_options(parser: argparse.ArgumentParser) -> None:
    """Add them to the parser of a launch."""
    group = parser.add_argument_group("Kubernetes")
    for option, (metavar, what) in _WORDS.items():
        add_option(group, option, help=what, **({"metavar": metavar} if metavar else {}))

# SPDX-License-Identifier: Apache-2.0
"""Options of a launch in pods: the contents of each pod, where Kubernetes may place it, and what is refused."""

from __future__ import annotations

import argparse
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._request.variables import TABLE
from madctl.errors import refused
from madctl.request.options import add_option, taking

# The options only for Kubernetes in the table of options: the form of the value, and the help.
_WORDS = {
    "--kubeconfig": ("FILE", "configuration of the cluster (default: $KUBECONFIG, or ~/.kube/config)"),
    "--context": ("NAME", "context of that file (default: its current one)"),
    "--namespace": ("NAME", "namespace of the run (default: that of the context)"),
    "--image": ("IMAGE", "container image, with python3 and what the job needs"),
    "--image-pull-policy": ("POLICY", "Always, IfNotPresent or Never"),
    "--image-pull-secret": ("NAME", "Secret that the image is pulled with (repeatable)"),
    "--gpu-resource": ("NAME", "GPU resource of the cluster: amd.com/gpu, nvidia.com/gpu"),
    "--cpu": ("QUANTITY", "CPUs of each pod: 8, 500m"),
    "--memory": ("QUANTITY", "memory of each pod: 64Gi"),
    "--shm-size": ("QUANTITY", "size of /dev/shm, which counts towards --memory: 16Gi"),
    "--resource": ("NAME=N", "other devices of each pod: rdma/hca=1 (repeatable)"),
    "--node-selector": ("KEY=VALUE", "label that nodes must have (repeatable)"),
    "--toleration": ("KEY[=VALUE][:EFFECT]", "taint that nodes may have (repeatable)"),
    "--priority-class": ("NAME", "priority class of the pods"),
    "--scheduler-name": ("NAME", "scheduler that places the pods"),
    "--queue": ("NAME", "Kueue local queue that the run waits in"),
    "--service-account": ("NAME", "service account of the pods; its token is not mounted"),
    "--run-as-user": ("UID", "run the pods as this user, not as root; meets the Pod Security level restricted"),
    "--host-network": (None, "use the network of the nodes"),
    "--volume": ("CLAIM:PATH[:ro]", "persistent volume claim, and where the job sees it (repeatable)"),
    "--send-script": (None, "send the script with the job, up to 256 KiB, if the image does not contain it"),
    "--ttl": ("TIME", "have the cluster delete the run, logs included, TIME after its end (default: never)"),
}
_OF_PRINTING = "--with-secret"
ALONE = (*_WORDS, _OF_PRINTING)
_OF_HOSTS = ("--hosts", "--hostfile", "--inventory", "--limit", "--lab", "--exclude")
# About how nodes are reached; with remedies.
_OF_WAYS = {
    "--user": "leave it out, or choose the user of the pods with --run-as-user",
    **dict.fromkeys(("--port", "--ssh-config", "--become-password-file", "--accept-new-host-keys"), "leave it out"),
}


def add_kubernetes_options(parser: argparse.ArgumentParser) -> None:
    """Add the options only for Kubernetes to the parser of a launch."""
    group = parser.add_argument_group("Kubernetes")
    for option, (metavar, what) in _WORDS.items():
        add_option(group, option, help=what, **({"metavar": metavar} if metavar else {}))
    what = "with --dry-run: also print the Secret, which contains the values of --env"
    group.add_argument(_OF_PRINTING, action="store_true", help=what)


def require(options: argparse.Namespace) -> None:
    """
    Refuse options that have no meaning for pods, or contradict each other.

    Raises:
        UsageError: If such options were given.
    """
    for option in _OF_HOSTS:
        if _value(options, option) is not None:
            message = f"Kubernetes chooses the nodes of a run, and {option} names some"
            raise refused("USAGE", message, remedy="use --node-selector, or leave out --on k8s")
    for option, remedy in _OF_WAYS.items():
        if _value(options, option):
            raise refused("USAGE", f"{option} is about nodes that are reached by SSH, and pods are not", remedy=remedy)
    if options.nodes and (options.nnodes or options.nodes) != options.nodes:
        message = f"--nodes {options.nodes} and --nnodes {options.nnodes} differ, and there are no spare pods"
        raise refused("USAGE", message, remedy="leave one of them out")
    for option, is_given in ((_OF_PRINTING, options.with_secret), ("--output yaml", options.output == "yaml")):
        if is_given and not options.dry_run:
            raise refused("USAGE", f"{option} needs --dry-run")


def typed(options: argparse.Namespace) -> dict[str, Any]:
    """
    Return the arguments only for pods, by their names in the table of options, and the number of pods.

    Raises:
        UsageError: If an option shared with other schedulers has a value that Kubernetes does not take.
    """
    found: dict[str, Any] = {"nnodes": options.nnodes or options.nodes}
    for row in TABLE:
        value = getattr(options, row.attribute, None) if row.scheduler == "k8s" else None
        if value is not None:
            parse = taking(row.spoken, row.kind)
            split = row.split
            found[row.name] = [parse(one) for text in value for one in split(text)] if split else parse(value)
    return found


def _value(options: argparse.Namespace, option: str) -> Any:
    return getattr(options, option[2:].replace("-", "_"))


def about_hosts() -> set[str]:
    """Return the options about nodes that are reached by SSH, unlike pods."""
    return {*_OF_HOSTS, *_OF_WAYS}

# SPDX-License-Identifier: Apache-2.0
"""
The names that a run has in a Kubernetes cluster, for the code that writes its manifests, its pods, and later readers.

Data; private to the collection.
"""

from __future__ import annotations

import re
from typing import Optional

# All objects of a run have its id as a label, and share one name.
RUN_LABEL, MANAGER_LABEL, MANAGER = "madctl.dev/run", "app.kubernetes.io/managed-by", "madctl"
# The number of a pod in its job, and the job of a pod, as the cluster labels them.
INDEX_LABEL, JOB_LABEL = "batch.kubernetes.io/job-completion-index", "batch.kubernetes.io/job-name"
# An order of the user, on the first pod.
ORDER = "madctl.dev/order"
CONTAINER = "run"
# What a container finds, and in which paths: programs, the key and the request, its own annotations.
PROGRAMS, SECRETS, ORDERS = "/madctl", "/madctl-key", "/madctl-orders"
# The code that is sent, in at most this many parts, which pods see in one directory.
CODE, MOST_PARTS = "/madctl-code", 16
BOOT, PARCEL, ABOUT = "madctl_pod.py", "programs.zip", "pod.json"
KEY, REQUEST, ANNOTATIONS = "key", "request.json", "annotations"
TERMINATION_LOG, TERMINATION_BYTES = "/dev/termination-log", 4096
INDEX = "JOB_COMPLETION_INDEX"
NODE = "MADCTL_NODE"
# For how many seconds the first pod waits at the end of a failed run: until the cluster knows that the others have
# ended. When a job fails, the cluster deletes pods that are still running, and their logs.
LINGER_SECONDS = 5.0
_HOST = re.compile(r"pod-(\d{1,6})", re.ASCII)


def name(run_id: str) -> str:
    """Return the name of all objects of a run."""
    return "madctl-" + run_id


def code_name(run_id: str, number: int) -> str:
    """Return the name of the object that contains a part of the code of a run."""
    return "%s-code-%d" % (name(run_id), number)


def part(number: int) -> str:
    """Return the name of the file of a part of the code."""
    return "part-%02d" % number


def host(index: int) -> str:
    """Return the run's name for its pod of a number."""
    return "pod-%d" % index


def host_name(job: str, number: int) -> str:
    """Return the name of the pod of a number in its cluster, below that of the job's service."""
    return "%s-%d" % (job, number)


def index(called: str) -> Optional[int]:
    """Return the number of a pod by the run's name for it; None for anything else."""
    found = _HOST.fullmatch(called)
    return int(found[1]) if found else None

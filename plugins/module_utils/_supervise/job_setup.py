# SPDX-License-Identifier: Apache-2.0
"""
Run the user's setup before a node is ready, and start the job with its effects.

Delivered beside the supervisor; private to the collection.
"""

from __future__ import annotations

import resource
import signal
import time
from typing import TYPE_CHECKING, Any, Callable

from ansible_collections.madctl.multinode.plugins.module_utils._common import run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._node import node_setup, processes
from ansible_collections.madctl.multinode.plugins.module_utils._supervise import node_claim

if TYPE_CHECKING:
    from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import Spec

_LOOKS, _LOOK_SECONDS = 20, 0.05


def run(spec: Spec) -> Callable[[Any], None]:
    """
    Run the setup of a spec, if any, in the job's environment, and update the spec with its effects.

    Returns:
        A function that writes its output to the logs of a feed.

    Raises:
        OSError: If it failed; then nothing of it is left.
    """
    setup = spec["setup"]
    if not setup:
        return lambda _: None
    before, files = spec["env"], resource.getrlimit(resource.RLIMIT_NOFILE)

    def become() -> None:
        node_claim.give_up(spec["oom_score"], spec["umask"], files)

    try:
        left = node_setup.run(setup, spec["cwd"], before, become)
    except OSError as error:
        end(spec)
        raise OSError("%s%s" % (run_directory.SETUP_FAILED, error)) from error
    spec["env"], spec["cwd"] = node_setup.marked(left.env, before), left.cwd
    spec["umask"], spec["limits"] = left.umask, left.limits

    def keep(feed: Any) -> None:
        feed.keep(run_directory.RUNNER_OUT, left.out)
        feed.keep(run_directory.RUNNER_ERR, left.err)

    return keep


def become_job(spec: Spec, files: Any) -> None:
    """Give a process that becomes the job the attributes of a user's login, and the limits of the setup."""
    node_claim.give_up(spec["oom_score"], spec["umask"], files)
    for name, (soft, hard) in spec["limits"].items():
        resource.setrlimit(getattr(resource, name), (soft, hard))


def end(spec: Spec) -> None:
    """Kill background processes of a setup whose job does not start."""
    for _ in range(_LOOKS if spec["setup"] else 0):
        _, marked = processes.find(spec["run_id"])
        if not marked:
            break
        processes.kill_marked(spec["run_id"], marked, signal.SIGKILL)
        time.sleep(_LOOK_SECONDS)

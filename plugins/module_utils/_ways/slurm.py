# SPDX-License-Identifier: Apache-2.0
"""
Slurm from inside a job: its variables, and the one srun that starts an agent on every node.

Private to the collection.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from typing import Dict, Iterable, List, Mapping, NamedTuple, Pattern, Sequence

from ansible_collections.madctl.multinode.plugins.module_utils._request import hostlist
from ansible_collections.madctl.multinode.plugins.module_utils._ways import dial_in

# Each of these is an option of srun, and would change the shape of the step.
_OPTIONS = re.compile(
    r"SLURM_(CPUS_PER_TASK|NTASKS|NPROCS|NTASKS_PER_NODE|EXPORT_ENV|MPI_TYPE|DISTRIBUTION|HINT|STEP_GRES|LABELIO"
    r"|UNBUFFEREDIO|CPU_BIND\w*|GPU_BIND|MEM_BIND\w*|EXACT|OVERLAP|WAIT|KILL_BAD_EXIT|OOM_KILL_STEP|NO_KILL|THREADS_PER_CORE"
    r"|TASKS_PER_NODE)|SRUN_\w+"
)
# Variables of the step: libraries of ranks mistake these for their own ranks, and MPI for a start by Slurm.
_OF_STEP = re.compile(
    r"SLURM_(PROCID|LOCALID|NODEID|NTASKS|NPROCS|NTASKS_PER_NODE|TASKS_PER_NODE|STEP_\w+|STEPID|GTIDS|TASK_PID"
    r"|CPU_BIND\w*|LABELIO|LAUNCH_NODE_IPADDR|SRUN_\w+|MPI_TYPE|OOM_KILL_STEP|UMASK|PRIO_PROCESS)|SRUN_\w+|PMI\w*"
    r"|HYDRA_\w+|I_MPI_HYDRA_\w+"
)
# What srun prints of a task that ended by itself; those that it ends have no exit code.
_EXITED = re.compile(r"srun: error: (\S+): tasks? [\d,-]+: Exited with exit code (\d{1,3})", re.ASCII)

_LAST_PORT = 65535
_FINAL = {"COMPLETED", "FAILED", "TIMEOUT", "CANCELLED", "NODE_FAIL", "BOOT_FAIL", "DEADLINE", "OUT_OF_MEMORY"}
# What a job is for its own processes once Slurm ends it, before it is final or waits again.
_ENDING = {*_FINAL, "COMPLETING", "PREEMPTED", "PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT"}
_ASK_SECONDS = 10.0


class Job(NamedTuple):
    """A job: its id, the names of its nodes in Slurm's order, and how often it was requeued."""

    job_id: str
    hosts: List[str]
    restarts: int = 0


class JobError(ValueError):
    """The job is missing or unusable."""


def job(environment: Mapping[str, str]) -> Job:
    """
    Return the job that this process belongs to.

    Raises:
        JobError: If there is none, or its nodes are unknown.
    """
    job_id, nodes = environment.get("SLURM_JOB_ID", ""), environment.get("SLURM_JOB_NODELIST", "")
    if not job_id.isdigit() or not nodes:
        raise JobError("SLURM_JOB_ID and SLURM_JOB_NODELIST are not set: this is not a job of Slurm")
    try:
        return Job(job_id, [host.name for host in hostlist.from_scheduler(nodes)], restarts(environment))
    except hostlist.HostsError as error:
        raise JobError("SLURM_JOB_NODELIST: %s" % error) from error


def restarts(environment: Mapping[str, str]) -> int:
    """Return how often Slurm requeued this job."""
    found = environment.get("SLURM_RESTART_COUNT", "")
    return int(found) if re.fullmatch(r"[0-9]{1,6}", found) else 0


def without(environment: Mapping[str, str], pattern: Pattern[str] = _OPTIONS) -> Dict[str, str]:
    """Return an environment without variables that would be options of srun."""
    return {name: value for name, value in environment.items() if not pattern.fullmatch(name)}


def srun(count: int, program: Sequence[str]) -> List[str]:
    """Build the command line that starts a program once on every node of the job."""
    words = ["srun", "--nodes=%d" % count, "--ntasks-per-node=1", "--kill-on-bad-exit=1", "--wait=0", "--mpi=none"]
    # We detect and name a node that fails; Slurm would end all others, after minutes, and name none.
    return [*words, "--no-kill", "--export=ALL", "--input=none", "--unbuffered", *program]


def exits(lines: Iterable[str]) -> Dict[str, int]:
    """
    Return the exit codes of nodes whose task ended by itself, from the lines that srun printed.

    srun prints them before it ends the other tasks. What the tasks printed themselves may be lost then.
    """
    found: Dict[str, int] = {}
    for match in filter(None, map(_EXITED.fullmatch, lines)):
        with contextlib.suppress(hostlist.HostsError):
            found.update({host.name: int(match[2]) for host in hostlist.from_scheduler(match[1])})
    return found


def cancel(job_id: str) -> List[str]:
    """Build the command line that ends a job."""
    return ["scancel", job_id]


def show(*what: str) -> str:
    """Query the controller; return what it printed, nothing if it did not answer."""
    null = subprocess.DEVNULL
    try:
        done = subprocess.run(
            ["scontrol", "show", *what],
            stdin=null,
            stdout=subprocess.PIPE,
            stderr=null,
            timeout=_ASK_SECONDS,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode(errors="replace")


def is_final(text: str) -> bool:
    """Return whether a job ends for good, according to the output of ``scontrol show job``."""
    return _state(text) in _FINAL


def is_ending(text: str) -> bool:
    """Return whether Slurm ends a job, for good or to requeue it, according to the output of ``scontrol show job``."""
    return _state(text) in _ENDING


def _state(text: str) -> str:
    found = re.search(r"\bJobState=([A-Z_]+)", text)
    return found[1] if found else ""


def kill_wait(text: str) -> float:
    """Return the seconds between a signal to end and the kill, according to ``scontrol show config``."""
    found = re.search(r"^KillWait\s*=\s*(\d{1,6}) sec", text, re.MULTILINE)
    return float(found[1]) if found else 30.0


def ports(text: str) -> Sequence[int]:
    """Return the ports that nodes may dial, according to ``scontrol show config``; only 0 if any will do."""
    found = re.search(r"^SrunPortRange\s*=\s*(\d{1,5})-(\d{1,5})\s*$", text, re.MULTILINE)
    first, last = (int(found[1]), int(found[2])) if found else (0, 0)
    return range(first, min(last, _LAST_PORT) + 1) if 0 < first <= last else (0,)


def main() -> None:
    """Run the agent of one node: ``PORT KEY_FILE``; the conductor is where srun is, so its address is known to work."""
    environment, (port, key_file) = dict(os.environ), sys.argv[1:3]
    os.environ.clear()
    os.environ.update(without(environment, _OF_STEP))
    address, node = environment["SLURM_LAUNCH_NODE_IPADDR"], environment["SLURM_NODEID"]
    dial_in.serve((address, int(port)), key_file, int(node), environment["SLURMD_NODENAME"])

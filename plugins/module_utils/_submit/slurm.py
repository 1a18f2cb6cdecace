# SPDX-License-Identifier: Apache-2.0
"""
Slurm from its users' side, on a login node: sbatch, squeue and scancel, and what their answers mean.

Nothing here needs accounting. A user's text reaches these programs as words of a list, and never reaches a shell.
Private to the collection.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import job_directory
from ansible_collections.madctl.multinode.plugins.module_utils._common.refusal import Refused

SECONDS = 60.0
# Variables of sbatch that would change the shape or the fate of the job; there are words for some of them.
_SHAPING = {
    *("SBATCH_ARRAY_INX", "SBATCH_WAIT", "SBATCH_GPUS_PER_TASK", "SBATCH_EXPORT", "SBATCH_REQUEUE"),
    *("SBATCH_NO_REQUEUE", "SBATCH_SIGNAL", "SBATCH_OPEN_MODE", "SBATCH_OUTPUT", "SBATCH_ERROR", "SBATCH_INPUT"),
    "SBATCH_JOB_NAME",
}
# Variables that change the output of Slurm's programs.
_PRINTING = {"SQUEUE_FORMAT", "SQUEUE_FORMAT2", "SQUEUE_STATES", "SQUEUE_SORT", "SLURM_TIME_FORMAT", "SLURM_CLUSTERS"}
_UNKNOWN = "Invalid job id specified"
_UNREACHED = ("Unable to contact slurm controller", "Unable to establish controller", "Connection refused")
_PREFIXES = ("sbatch: ", "squeue: ", "error: ", "slurm_load_jobs error: ", "Batch job submission failed: ")
WAITING = {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD"}
SUSPENDED = "SUSPENDED"
FINAL = {
    *("COMPLETED", "FAILED", "TIMEOUT", "CANCELLED", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "DEADLINE"),
    *("OUT_OF_MEMORY", "REVOKED"),
}
_CONFIGURATION = "SLURM_CONF"


@dataclass(frozen=True)
class State:
    """A job as the controller knows it: its state, why it waits, and when it starts, in Slurm's own words."""

    state: str
    reason: str = ""
    start: str = ""

    @property
    def is_final(self) -> bool:
        """Whether it is final."""
        return self.state in FINAL


# The controller does not know the job: it never did, or no longer does.
FORGOTTEN = State("UNKNOWN")


def configuration() -> str:
    """Return the configuration file that the user has chosen for Slurm's programs; empty for the default."""
    return os.environ.get(_CONFIGURATION, "")


def require() -> None:
    """
    Check that this machine can submit jobs.

    Raises:
        Refused: If it has no sbatch.
    """
    if shutil.which("sbatch") is None:
        remedy = "run madctl on a login node of the cluster"
        raise Refused("SCHEDULER_MISSING", "no sbatch on this machine, so no job can be submitted", remedy)


def command(run_id: str, place: Path, nodes: int, chosen: Sequence[str]) -> List[str]:
    """
    Build the command line that submits a run.

    Args:
        place: The directory of the job.
        chosen: The user's own options, already checked.
    """
    named = ["--job-name=%s" % _name(run_id), "--comment=madctl:%s" % run_id, "--nodes=%d" % nodes]
    shape = ["--ntasks-per-node=1", "--no-requeue", "--no-kill", "--open-mode=append"]
    files = ["--output=%s" % (place / job_directory.JOB_LOG), "--chdir=%s" % place]
    return ["sbatch", "--parsable", *named, *shape, *files, *chosen, str(place / job_directory.SCRIPT)]


def environment(hidden: Sequence[str] = (), current: Mapping[str, str] = os.environ) -> Dict[str, str]:
    """
    Return the environment that a job inherits.

    Args:
        hidden: Variables that a user passes to ranks: they are passed in a private file, and accounting keeps no copy.
    """
    left_out = {*_SHAPING, *_PRINTING, *hidden}
    return {name: value for name, value in current.items() if name not in left_out}


def submit(argv: Sequence[str], hidden: Sequence[str], conf: str = "") -> Tuple[str, List[str]]:
    """
    Submit a job, and return its id and Slurm's remarks.

    Args:
        hidden: As for ``environment``.
        conf: Configuration file of the cluster; empty for that of this machine, also in the functions below.

    Raises:
        Refused: If Slurm refuses it, in its own words, or the controller cannot be reached.
    """
    done = _run(argv, environment(hidden), conf)
    said = _lines(done.stderr)
    if done.returncode:
        raise _refusal(said)
    job_id = done.stdout.strip().partition(";")[0]
    if not job_id.isdigit():
        raise Refused("SCHEDULER_REFUSED", "sbatch printed no job id: %r" % done.stdout.strip()[:200])
    return job_id, said


def test(argv: Sequence[str], conf: str = "") -> List[str]:
    """
    Have Slurm test a job without submitting it; return its answer.

    Raises:
        Refused: If Slurm refuses it.
    """
    done = _run([argv[0], "--test-only", *argv[1:]], environment(), conf)
    if done.returncode:
        raise _refusal(_lines(done.stderr))
    return list(map(_bare, _lines(done.stderr)))


def version(conf: str = "") -> str:
    """Return the name and version that Slurm reports on this machine, such as ``slurm-wlm 22.05.8``."""
    return (_lines(_run(["sbatch", "--version"], _plain(), conf).stdout) or ["an unknown version"])[0]


def look(job_id: str, conf: str = "", seconds: float = SECONDS) -> State:
    """
    Query the state of a job.

    Raises:
        Refused: If the controller cannot be reached.
    """
    if seconds <= 0:
        raise _unreachable("there was no time left to query it")
    done = _run(["squeue", "-h", "-t", "all", "-j", job_id, "-o", "%T|%r|%S"], _plain(), conf, seconds)
    if done.returncode:
        if _UNKNOWN in done.stderr:
            return FORGOTTEN
        raise _silence(done.stderr)
    state, reason, start, *_ = [*done.stdout.strip().split("|"), "", ""]
    return State(state, "" if reason == "None" else reason, start) if state else FORGOTTEN


def find(run_id: str, conf: str = "") -> Optional[str]:
    """
    Find the job of a run by its name, which no other run has; None if Slurm knows none.

    Raises:
        Refused: If the controller cannot be reached.
    """
    done = _run(["squeue", "-h", "-t", "all", "--me", "--name=%s" % _name(run_id), "-o", "%i"], _plain(), conf)
    if done.returncode:
        raise _silence(done.stderr)
    found = done.stdout.split()
    return found[-1] if found and found[-1].isdigit() else None


def own_runs(conf: str = "") -> Dict[str, State]:
    """
    Return this user's jobs that Slurm knows, by the id of their run; in one query, however many there are.

    Raises:
        Refused: If the controller cannot be reached, or this machine has no squeue.
    """
    done = _run(["squeue", "-h", "-t", "all", "--me", "-o", "%T|%j"], _plain(), conf)
    if done.returncode:
        raise _silence(done.stderr)
    prefix, found = _name(""), {}
    for state, _, name in (line.partition("|") for line in _lines(done.stdout)):
        if name.startswith(prefix):
            found[name[len(prefix) :]] = State(state)
    return found


def _name(run_id: str) -> str:
    return "madctl-%s" % run_id


def _plain() -> Dict[str, str]:
    """Return an environment in which Slurm prints the requested fields."""
    return {**{name: value for name, value in os.environ.items() if name not in _PRINTING}, "LC_ALL": "C"}


def cancel(job_id: str, conf: str = "") -> None:
    """Cancel a job; success proves nothing, because it is also reported for a job that never existed."""
    _run(["scancel", job_id], dict(os.environ), conf)


def ring(job_id: str, conf: str = "") -> None:
    """Tell the program of a job, and no other process in it, to look for an order."""
    _run(["scancel", "--batch", "--signal=URG", job_id], dict(os.environ), conf)


def _run(
    argv: Sequence[str], variables: Mapping[str, str], conf: str, seconds: float = SECONDS
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env={**variables, **({_CONFIGURATION: conf} if conf else {})},
            timeout=seconds,
            # Ctrl-C must not leave a job behind that was submitted a moment ago.
            start_new_session=True,
        )
    except subprocess.TimeoutExpired as error:
        raise _unreachable("%s did not answer in %g s" % (argv[0], seconds)) from error
    except OSError as error:
        raise Refused("SCHEDULER_MISSING", "%s: %s" % (argv[0], error.strerror)) from error


def _lines(text: str) -> List[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _refusal(said: Sequence[str]) -> Refused:
    """Return what Slurm's own message means: it could not be reached, or it refuses."""
    words = next((line for line in said if any(cause in line for cause in _UNREACHED)), None)
    if words:
        return _unreachable(_bare(words))
    shown = [_bare(line) for line in said] or ["no reason given"]
    # The last line is the most specific: "Batch job submission failed: Invalid partition name specified".
    return Refused("SCHEDULER_REFUSED", "Slurm refuses the job: %s" % shown[-1])


def _bare(line: str) -> str:
    for word in _PREFIXES:
        line = line[len(word) :] if line.startswith(word) else line
    return line[:400]


def _silence(said: str) -> Refused:
    """Return that a query was not answered, whatever the reason."""
    return _unreachable(([_bare(line) for line in _lines(said)] or ["no reason given"])[-1])


def _unreachable(cause: str) -> Refused:
    remedy = "a run that has started continues; try again later"
    return Refused("SCHEDULER_UNREACHABLE", "Slurm's controller cannot be reached: %s" % cause, remedy)

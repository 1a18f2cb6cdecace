# SPDX-License-Identifier: Apache-2.0
"""
The names of a run's files on a node, and the marks of its processes, for the programs that write and read them.

``docs/reference/run_directory.md`` describes the files. ``rank_wrapper`` and ``mpi_agent`` import none of our modules,
so they repeat some of these names; a test compares them. Data only; private to the collection.
"""

from __future__ import annotations

import re
from typing import Optional

# -- the directory of run directories ---------------------------------------------------------------

LOCK = "lock"
PROGRAMS = "bin-"  # followed by the hash of the programs
GONE = ".madctl-gone-"  # a directory that is being removed, or made; gc removes it after an interruption
_USUAL = "/var/tmp/madctl-"
# Directories of code that runs use, each named by its content, with its manifest, the state of its files when they were
# verified, and the files.
TREES = "sync"
MANIFEST, VERIFIED, FILES = "manifest", "verified", "files"


def base(user_id: int) -> str:
    """Return the default directory of run directories."""
    return "%s%d" % (_USUAL, user_id)


def of_job(user_id: int, job_id: str) -> str:
    """Return the directory of run directories that only one scheduler job uses, and removes at its end."""
    return "%s-%s" % (base(user_id), job_id)


def is_of_job(path: str) -> bool:
    """Return whether only one job uses a directory."""
    user, dash, job_id = path[len(_USUAL) :].partition("-")
    return path.startswith(_USUAL) and (user + job_id).isdigit() and bool(dash)


def is_usual_base(path: str) -> bool:
    """Return whether a directory is some user's default."""
    return path.startswith(_USUAL) and path[len(_USUAL) :].isdigit()


# -- a run's directory ------------------------------------------------------------------------------

DESCRIPTION = "run.json"
HOST_FILE = "hostfile"
BIN = "bin"
LOGS = "logs"
WORK = "work"
# The run's own copy of the code, and a link to what it was copied from.
CODE, TREE = "code", "tree"
TORCHRUN = "torchrun"
SPEC = "spec.json"
READY = "ready"
SUPERVISOR_LOG = "supervisor.log"
CONTROL_SOCKET = "control.sock"
RANKS_SOCKET = "ranks.sock"
RANKS = "ranks.json"
RELAY_SOCKET, RELAY_KEY = "relay.sock", "relay.key"
MODEL = "model.json"
EVENTS = "events.jsonl"
SAMPLES = "samples.json"
PARTIAL_SAMPLES = SAMPLES + ".partial"
RECORD = "exit.json"
PARTIAL_RECORD = RECORD + ".partial"
STOPPED = "stopped"

# Files that only a living supervisor needs; the spec may hold secrets.
OF_SUPERVISOR = (CONTROL_SOCKET, RANKS_SOCKET, READY, SPEC, PARTIAL_RECORD, PARTIAL_SAMPLES, RELAY_SOCKET, RELAY_KEY)

# The names of a supervisor's logs; any other file beside them is the job's.
LOG_NAME = re.compile(r"(rank-(\d{1,7}|None)|runner)\.(out|err|stack)", re.ASCII)
RUNNER_OUT, RUNNER_ERR = "runner.out", "runner.err"


def log_name(rank: object, stream: str) -> str:
    """Return the name of a rank's log: ``out``, ``err``, or its ``stack``."""
    return "rank-%s.%s" % (rank, stream)


# A user's name for a run, and a note about it. A name is not a number, and does not begin like the id of a run.
RUN_NAME = re.compile(r"(?!\d{6}|[\d.-]+\Z)[A-Za-z0-9][A-Za-z0-9._-]{0,39}", re.ASCII)
NOTE_LENGTH = 200


def rank_of(log: str) -> Optional[int]:
    """Return the rank of a log; None for any other log."""
    found = LOG_NAME.fullmatch(log)
    return int(found[2]) if found and found[2] and found[2].isdigit() else None


# The ``outcome`` of a record: the runner ended, its supervisor was killed, it was not told to start, it did not start.
EXITED, LOST, DISARMED, START_FAILED = "exited", "lost", "disarmed", "start_failed"
OUTCOMES = (EXITED, LOST, DISARMED, START_FAILED)


class Reason:
    """Why a run was told to end, the ``reason`` of a record: an order, a limit, or a failure elsewhere."""

    STOPPED = "stopped"
    TIMED_OUT = "timed_out"
    IDLE = "idle"
    PEER_FAILED = "peer_failed"
    LATE = "late"
    BROKEN = "broken"


# -- programs, below BIN ----------------------------------------------------------------------------

LAUNCHER = "madctl_node.py"
# Programs that the launcher starts by name.
SUPERVISOR, MADENGINE_WRAPPER, CONTAINER_REMOVAL = "supervisor", "madengine_wrapper", "container_removal"
# Programs that are started as files.
RANK_WRAPPER, MPI_AGENT = "_supervise/rank_wrapper.py", "_supervise/mpi_agent.py"

# The beginning of a supervisor's first line if the user's setup failed.
SETUP_FAILED = "setup: "

# -- marks ------------------------------------------------------------------------------------------

# Variables of every process of the job; the first proves that a process, or a container, belongs to the run.
RUN_ID, RUN_DIR, HOST_FILE_PATH = "MADCTL_RUN_ID", "MADCTL_RUN_DIR", "MADCTL_HOSTFILE"
MARK = RUN_ID + "="
# What a model's script finds in its container: a directory in the node's copy of the checkout, which is mounted there.
IN_CONTAINER = ".madctl"
CONTAINER_PLACE = "/myworkspace/" + IN_CONTAINER
# Directories in it: calls of the runner, what they wait for, the started ones, the ended ones, and the requests of
# mpirun.
CALLS, ORDERS, BEGUN, DONE, ASKED = "calls", "orders", "begun", "done", "asked"
# Files in it: a program, the end of all calls, why mpirun cannot be used.
CONTAINER_RANK, OVER, TROUBLE = "rank_wrapper.py", "over", "trouble"
# The call that a daemon belongs to, as the first word of its command.
CALL = "MADCTL_CALL"
# The number of the attempt, the K of ``RUN.K``, by two names: restarts and requeues by a scheduler count together.
ATTEMPT, RESTARTS = "MADCTL_ATTEMPT", "MADCTL_RESTART_COUNT"
# Variables that a setup cannot change.
MARKS = (RUN_ID, RUN_DIR, HOST_FILE_PATH, ATTEMPT, RESTARTS)
# The command that starts ranks, which a user's script puts before its program.
RUNNER = "MAD_MULTI_NODE_RUNNER"
# mpirun would query the scheduler whose variables it sees, so they get this prefix for it; ranks do not see the prefix.
OF_SCHEDULER, HELD = "SLURM", "MADCTL_HELD_"
# Variables with a process's rank and the size of its world: torchrun, Open MPI, MPICH.
IDENTITIES = (("RANK", "WORLD_SIZE"), ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"), ("PMI_RANK", "PMI_SIZE"))
# madengine names a container after its image, and version 1 searches for that anywhere in a name.
CONTAINER_PREFIX = "container_"


def unit(run_id: str) -> str:
    """Return the name of a supervisor's systemd service."""
    return "madctl-%s.service" % run_id


def later_attempt(run_id: str, number: int, more: int) -> str:
    """Return the id of the attempt that comes ``more`` attempts after the given one, whose number is ``number``."""
    first = run_id[: -len(".%d" % number)] if number else run_id
    return "%s.%d" % (first, number + more) if number + more else first

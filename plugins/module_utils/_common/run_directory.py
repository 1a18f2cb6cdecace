# SPDX-License-Identifier: Apache-2.0
"""
What a run leaves on a node, and by what it is recognised there: names for who writes and who reads.

``docs/reference/run_directory.md`` describes the files. ``rank_wrapper`` and ``mpi_agent``, which nodes start as files
that import nothing of ours, repeat some of these names; a test compares them. Data only; private to the collection.
"""

from __future__ import annotations

import re
from typing import Optional

# -- the directory of run directories ---------------------------------------------------------------

LOCK = "lock"
PROGRAMS = "bin-"  # and the hash of the programs
GONE = ".madctl-gone-"  # what is on its way out, or on its way in; gc removes it where its maker was interrupted
_USUAL = "/var/tmp/madctl-"


def base(user_id: int) -> str:
    """Name the directory that holds run directories where nobody named one."""
    return "%s%d" % (_USUAL, user_id)


def is_usual_base(path: str) -> bool:
    """Tell whether a directory is the usual one of some user."""
    return path.startswith(_USUAL) and path[len(_USUAL) :].isdigit()


# -- a run's directory ------------------------------------------------------------------------------

DESCRIPTION = "run.json"
HOST_FILE = "hostfile"
BIN = "bin"
LOGS = "logs"
WORK = "work"
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
RECORD = "exit.json"
PARTIAL_RECORD = RECORD + ".partial"
STOPPED = "stopped"

# What only a living supervisor needs; the spec may hold secrets.
OF_SUPERVISOR = (CONTROL_SOCKET, RANKS_SOCKET, READY, SPEC, PARTIAL_RECORD, RELAY_SOCKET, RELAY_KEY)

# What a supervisor calls a log; whatever else lies beside them is the job's.
LOG_NAME = re.compile(r"(rank-(\d{1,7}|None)|runner)\.(out|err|stack)", re.ASCII)
RUNNER_OUT, RUNNER_ERR = "runner.out", "runner.err"


def log_name(rank: object, stream: str) -> str:
    """Name the log of what a rank prints: ``out`` or ``err``, or its ``stack``."""
    return "rank-%s.%s" % (rank, stream)


def rank_of(log: str) -> Optional[int]:
    """Return the rank that a log is of; None where it is of none."""
    found = LOG_NAME.fullmatch(log)
    return int(found[2]) if found and found[2] and found[2].isdigit() else None


# The ``outcome`` of a record: whether the runner ended, its supervisor was killed, it was never told to start, or could
# not be started.
EXITED, LOST, DISARMED, START_FAILED = "exited", "lost", "disarmed", "start_failed"
OUTCOMES = (EXITED, LOST, DISARMED, START_FAILED)


class Reason:
    """Why a run was told to end, the ``reason`` of a record: by order, by a limit, by what happened elsewhere."""

    STOPPED = "stopped"
    TIMED_OUT = "timed_out"
    IDLE = "idle"
    PEER_FAILED = "peer_failed"
    LATE = "late"
    BROKEN = "broken"


# -- programs, below BIN ----------------------------------------------------------------------------

LAUNCHER = "madctl_node.py"
# What the launcher starts by their names.
SUPERVISOR, MADENGINE_WRAPPER, CONTAINER_REMOVAL = "supervisor", "madengine_wrapper", "container_removal"
# What is started as a file.
RANK_WRAPPER, MPI_AGENT = "_supervise/rank_wrapper.py", "_supervise/mpi_agent.py"

# -- marks ------------------------------------------------------------------------------------------

# Variables of every process of the job; the first is the proof that a process, or a container, is the run's.
RUN_ID, RUN_DIR, HOST_FILE_PATH = "MADCTL_RUN_ID", "MADCTL_RUN_DIR", "MADCTL_HOSTFILE"
MARK = RUN_ID + "="
# What starts ranks, for a script of the user's to put before its program.
RUNNER = "MAD_MULTI_NODE_RUNNER"
# By what a process knows its rank and the size of its world: torchrun, Open MPI, MPICH.
IDENTITIES = (("RANK", "WORLD_SIZE"), ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"), ("PMI_RANK", "PMI_SIZE"))
# madengine names a container after its image, and version 1 looks for that anywhere.
CONTAINER_PREFIX = "container_"


def unit(run_id: str) -> str:
    """Name the service of systemd that a supervisor is started as."""
    return "madctl-%s.service" % run_id

# SPDX-License-Identifier: Apache-2.0
"""
The kinds of events of a run and their fields, for the programs that emit and read them.

An event is the header of a frame (see ``wire``) with its kind under ``event``. Four tables define the fields of each
kind: from ranks to their supervisor, from nodes to a follower, from the follower to a screen, and to the callback that
draws. No other file writes a kind as a text, except ``rank_wrapper``, which imports none of our modules. Pure;
delivered to nodes as well; private to the collection.
"""

from __future__ import annotations

from typing import Any, Dict, NamedTuple

from ansible_collections.madctl.multinode.plugins.module_utils._common.run_directory import LOG_NAME, OUTCOMES
from ansible_collections.madctl.multinode.plugins.module_utils._common.schema import (
    Shape,
    anything,
    fields,
    like,
    listed,
    mapped,
    maybe,
    number,
    one_of,
    second,
    text,
    truth,
    whole,
)

# -- kinds ------------------------------------------------------------------------------------------

# The channel to a node: its first frame, an unknown run, all existing output was sent, the end of what can be read,
# output, a gap in the output.
READY, REFUSED, SO_FAR, END, LOG, SKIPPED = "ready", "refused", "so_far", "end", "log", "skipped"
# A supervisor waits for go; its runner was started, could not be started, has failed.
ARMED, STARTED, START_FAILED, RUNNER_EXIT = "armed", "started", "start_failed", "runner_exit"
# A rank runs its program, could not execute it, has ended; no descriptors are left for its output; it made a new world.
JOINED, EXEC_FAILED, RANK_EXIT, FILES_SHORT, APART = "joined", "exec_failed", "rank_exit", "files_short", "apart"
# The results of madengine's models on a node.
MODELS = "models"
# mpirun: it requests a daemon, a request was refused, ranks did not join in time; a script in a container has come to
# where it needs a daemon; a daemon has ended.
DAEMON_WANTED, RELAY_REFUSED, LATE, DAEMON_BEGUN = "daemon_wanted", "relay_refused", "late", "daemon_begun"
DAEMON_ENDED = "daemon_ended"
# The disk is full; no stacks can be written; a node, or the whole run, must end; a node's part has ended.
LOG_DEGRADED, NO_DUMP, STOPPING, EXIT = "log_degraded", "no_dump", "stopping", "exit"
# A node fell silent, answers again, is given up; no rank printed anything; the run restarts.
SUSPECT, BACK, LOST, IDLE, RESTART = "suspect", "back", "lost", "idle", "restart"
# A node was probed; all nodes have the code, reported with the difference to its commit; the plan was made, refused, or
# waits for net-tools; how long the stages took.
PROBED, SYNCED, PLANNED, TIMED = "probed", "synced", "planned", "timed"
# A run was submitted as a job; what the job waits for; a part of how it ended, from the login node.
SUBMITTED, QUEUED, ENDED = "job_submitted", "job_waits", "job_ended"
# Lines to show; lines to draw and redraw below them; the nodes of the plan; a request to report when all earlier
# events were shown.
TEXT, BELOW, NODES, BARRIER = "text", "below", "nodes", "barrier"

# The ``daemon`` of LATE and EXIT if mpirun did not request it; otherwise the address that the daemon did not reach.
UNASKED = "unasked"

# -- fields -----------------------------------------------------------------------------------------

MOST_RANKS = 1 << 17
_LONG = 1 << 14

_rank, _size = whole(0, MOST_RANKS), whole(0, 1 << 62)
_status, _signal = maybe(whole(0, 1 << 16)), maybe(whole(0, 128))
# The status of a process as in Python, which writes a signal as a negative number.
_popen = maybe(whole(-128, 1 << 16))
_ended: Dict[str, Shape] = {"exit_code": _status, "signal": _signal}
_identity: Dict[str, Shape] = dict.fromkeys(("local_rank", "world_size", "local_world_size"), maybe(_rank))
_program: Dict[str, Shape] = {**_identity, "rank": maybe(_rank), "pid": whole(), "argv0": text(), "reason": text(64)}
_rows = listed(mapped(text(1 << 18), 1024, text(_LONG)), 1 << 14)
_models, _told_models = listed(text(), 4096), listed(text(_LONG), 4096)
# Why the mpirun of an image cannot be used.
_mpi = one_of("MPI_MISSING", "MPI_UNSUPPORTED", "MPI_MIXED")
_supervisor: Dict[str, Shape] = {"boot_id": text(128), "container": maybe(text(256)), "pid": whole()}


class Kind(NamedTuple):
    """The fields of one kind of event."""

    required: Dict[str, Shape]
    optional: Dict[str, Shape] = {}


def _kept(required: Dict[str, Shape], optional: Dict[str, Shape]) -> Kind:
    """Return a kind that is kept in ``events.jsonl``, with a number and usually a time."""
    return Kind({"seq": whole(1), **required}, {"time": second, **optional})


# Any process of the job can connect and send anything; an event with these fields is passed on as the same kind below.
SAID_BY_RANKS: Dict[str, Kind] = {
    JOINED: Kind({"rank": maybe(_rank), "pid": whole(1)}, {**_identity, "argv0": text()}),
    EXEC_FAILED: Kind(
        {"rank": maybe(_rank), "pid": whole(1), "errno": whole(0, 4096), "argv0": text()},
        {**_identity, "reason": text(64)},
    ),
    RANK_EXIT: Kind(_ended, {"time": second, "error": maybe(text())}),
    MODELS: Kind({"rows": _rows, "failed": _models, "exit_code": _popen}, {"alone": _models, "mpi": maybe(_mpi)}),
}

TOLD_BY_NODES: Dict[str, Kind] = {
    READY: Kind({"boot_id": text(128)}, {**_supervisor, "run_id": text(256), "tail": truth}),
    REFUSED: Kind({"message": text(_LONG)}),
    SO_FAR: Kind({}),
    END: Kind({}),
    LOG: Kind({"log": like(LOG_NAME), "offset": _size}, {"time": second}),
    SKIPPED: Kind({"log": like(LOG_NAME), "size": _size}),
    ARMED: _kept({}, {**_supervisor, "storage": maybe(text()), "node_rank": _rank}),
    STARTED: _kept({}, {"pid": whole()}),
    START_FAILED: _kept({"message": text(_LONG)}, {}),
    JOINED: _kept({"rank": maybe(_rank)}, _program),
    FILES_SHORT: _kept({"rank": maybe(_rank)}, {}),
    APART: _kept({"rank": _rank, "launcher": text(256), "size": whole(0, 1 << 64)}, {}),
    EXEC_FAILED: _kept({"argv0": text(), "errno": whole(0, 4096)}, _program),
    RANK_EXIT: _kept({"rank": maybe(_rank), **_ended}, {"stopping": truth, "oom": truth, "error": maybe(text(_LONG))}),
    RUNNER_EXIT: _kept(_ended, {}),
    MODELS: _kept(
        {"rows": _rows, "failed": _told_models, "stopping": truth, "exit_code": _popen},
        {"alone": _told_models, "mpi": maybe(_mpi)},
    ),
    STOPPING: _kept({}, {"reason": maybe(text(64))}),
    LATE: _kept({}, {"daemon": maybe(text(256)), "joined": _rank}),
    DAEMON_WANTED: _kept({"address": text(256), "serial": whole(), "command": text(1 << 18), "seal": text(256)}, {}),
    DAEMON_BEGUN: _kept({}, {}),
    DAEMON_ENDED: _kept({"serial": whole()}, {}),
    RELAY_REFUSED: _kept({"message": text()}, {}),
    LOG_DEGRADED: _kept({"log": like(LOG_NAME), "size": _size}, {}),
    NO_DUMP: _kept({}, {}),
    EXIT: _kept(
        {"outcome": one_of(*OUTCOMES), **_ended},
        {
            "oom": truth,
            "ranks_joined": _rank,
            "stopped": truth,
            "reason": maybe(text(64)),
            "daemon": maybe(text(256)),
            "trouble": maybe(text(_LONG)),
            "apart": listed(_rank, MOST_RANKS),
            "left_behind": listed(text(_LONG), 1 << 15),
            "bytes_lost": _size,
        },
    ),
}
# The end of a rank or of the runner.
ENDS = (RANK_EXIT, RUNNER_EXIT)
# Events that may be a failure.
FAILING = (*ENDS, EXEC_FAILED, START_FAILED, MODELS)
# The record is the same object as EXIT, with these fields besides; see docs/reference/run_directory.md.
ONLY_RECORDED = ("rank_exits", "left", "unseen")

# Nodes' events are passed on with their ``host``; these come from the follower itself, and a screen trusts them.
TOLD_BY_FOLLOWER: Dict[str, Kind] = {
    PROBED: Kind({"host": text(), "answered": truth, "way": anything}),
    SYNCED: Kind({"code": anything, "nodes": whole(), "sent": whole()}),
    PLANNED: Kind(
        {"plan": anything, "warnings": anything, "without_ifconfig": anything}, {"hidden": anything, "found": anything}
    ),
    TIMED: Kind({"stages": anything, **dict.fromkeys(("nodes", "sessions", "starts", "sent", "received"), whole())}),
    SUBMITTED: Kind({"run_id": text(), "job_id": text(), "place": text(), "conf": text(), "said": anything}),
    QUEUED: Kind({"text": text()}),
    ENDED: Kind({"is_last": truth}),
    SO_FAR: Kind({}),
    STOPPING: Kind({}, {"why": anything}),
    SKIPPED: Kind({"host": text(), "log": like(LOG_NAME), "size": _size}),
    SUSPECT: Kind({"host": text()}),
    BACK: Kind({"host": text()}),
    LOST: Kind({"host": text(), "message": text()}),
    IDLE: Kind({"seconds": number()}),
    RESTART: Kind(
        {"attempt": whole(1), "of": whole(1), "replaced": mapped(text(), 1 << 17), "plan": anything},
        {"after": anything},
    ),
}
# Events of the whole run: one with a host was forged by a node.
OF_THE_RUN = (RESTART, STOPPING, IDLE, SYNCED, PLANNED, TIMED, SUBMITTED, QUEUED, ENDED)


def is_told(event: Any) -> bool:
    """Return whether an event comes from a node and has valid fields."""
    kind = TOLD_BY_NODES.get(event["event"]) if type(event) is dict and type(event.get("event")) is str else None
    return kind is not None and fields(kind.required, kind.optional)(event)


# The callback that draws also gets ``on_node(kind)`` for each event of the two tables above.
TOLD_TO_CALLBACK: Dict[str, Kind] = {
    TEXT: Kind({"text": anything, "job": truth}),
    BELOW: Kind({"lines": anything, "job": truth}),
    NODES: Kind({"nodes": anything}),
    BARRIER: Kind({}),
}


def on_node(kind: str) -> str:
    """Return the name of a kind of event for the callback that draws, whose own kinds may have the same names."""
    return "node_" + kind

# SPDX-License-Identifier: Apache-2.0
"""
The kinds of events of a run and their fields, for who emits them and who reads them.

An event is the header of a frame (see ``wire``) with its kind under ``event``. Four tables say what each kind holds:
what ranks say to their supervisor, what nodes tell a follower, what the follower tells a screen beside that, and what
only the callback that draws is told. No kind is written as a text anywhere else, except in ``rank_wrapper``, which
imports nothing of ours. Pure; delivered to nodes as well; private to the collection.
"""

from __future__ import annotations

from typing import Dict, NamedTuple

from ansible_collections.madctl.multinode.plugins.module_utils._common.run_directory import LOG_NAME, OUTCOMES
from ansible_collections.madctl.multinode.plugins.module_utils._common.schema import (
    Shape,
    anything,
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

# The channel to a node: its first frame, that it has no such run, that there is no more to read, output, a gap in it.
READY, REFUSED, END, LOG, SKIPPED = "ready", "refused", "end", "log", "skipped"
# A supervisor waits for go; its runner was started, could not be, has ended badly.
ARMED, STARTED, START_FAILED, RUNNER_EXIT = "armed", "started", "start_failed", "runner_exit"
# A rank runs its program, could not execute it, has ended; it has more output than open files, leads its own world.
JOINED, EXEC_FAILED, RANK_EXIT, FILES_SHORT, APART = "joined", "exec_failed", "rank_exit", "files_short", "apart"
# How the models of madengine ended on a node.
MODELS = "models"
# mpirun: it asks for a daemon, somebody else did, ranks did not come in time.
DAEMON_WANTED, RELAY_REFUSED, LATE = "daemon_wanted", "relay_refused", "late"
# The disk is full; no stacks can be written; a node, or the whole run, is told to end; a node's part has ended.
LOG_DEGRADED, NO_DUMP, STOPPING, EXIT = "log_degraded", "no_dump", "stopping", "exit"
# A node fell silent, answers again, is given up; no rank printed anything; the run is started again.
SUSPECT, BACK, LOST, IDLE, RESTART = "suspect", "back", "lost", "idle", "restart"
# A node was looked at; the plan was made, refused, or waits for net-tools.
PROBED, PLANNED, TIMED = "probed", "planned", "timed"
# Lines to show; the nodes of the plan; "tell me when all before this was taken in".
TEXT, NODES, BARRIER = "text", "nodes", "barrier"

# The ``daemon`` of LATE and EXIT where mpirun asked for none; otherwise the address that the daemon did not reach.
UNASKED = "unasked"

# -- fields -----------------------------------------------------------------------------------------

MOST_RANKS = 1 << 17
_LONG = 1 << 14

_rank, _size = whole(0, MOST_RANKS), whole(0, 1 << 62)
_status, _signal = maybe(whole(0, 1 << 16)), maybe(whole(0, 128))
# As Python tells of a process, a signal as a number below zero.
_popen = maybe(whole(-128, 1 << 16))
_ended: Dict[str, Shape] = {"exit_code": _status, "signal": _signal}
_identity: Dict[str, Shape] = dict.fromkeys(("local_rank", "world_size", "local_world_size"), maybe(_rank))
_program: Dict[str, Shape] = {**_identity, "rank": maybe(_rank), "pid": whole(), "argv0": text(), "reason": text(64)}
_rows = listed(mapped(text(1 << 18), 1024, text(_LONG)), 1 << 14)
_models = listed(text(), 4096)
_supervisor: Dict[str, Shape] = {"boot_id": text(128), "container": maybe(text(256)), "pid": whole()}


class Kind(NamedTuple):
    """The fields of one kind of event."""

    required: Dict[str, Shape]
    optional: Dict[str, Shape] = {}

    @property
    def fields(self) -> Dict[str, Shape]:
        """All fields that an event of this kind may have."""
        return {**self.required, **self.optional}


def _kept(required: Dict[str, Shape], optional: Dict[str, Shape]) -> Kind:
    """Make a kind that is kept in ``events.jsonl``, with a number and mostly a time."""
    return Kind({"seq": whole(1), **required}, {"time": second, **optional})


# Any process of the job can connect and say anything; what has these fields is told as the kind of the same name below.
SAID_BY_RANKS: Dict[str, Kind] = {
    JOINED: Kind({"rank": maybe(_rank), "pid": whole(1)}, {**_identity, "argv0": text()}),
    EXEC_FAILED: Kind(
        {"rank": maybe(_rank), "pid": whole(1), "errno": whole(0, 4096), "argv0": text()},
        {**_identity, "reason": text(64)},
    ),
    RANK_EXIT: Kind(_ended, {"time": second, "error": maybe(text())}),
    MODELS: Kind({"rows": _rows, "failed": _models, "exit_code": _popen}, {"alone": _models}),
}

TOLD_BY_NODES: Dict[str, Kind] = {
    READY: Kind({"boot_id": text(128)}, {**_supervisor, "run_id": text(256), "tail": truth}),
    REFUSED: Kind({"message": text(_LONG)}),
    END: Kind({}),
    LOG: Kind({"log": like(LOG_NAME), "offset": _size}),
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
        {
            "rows": _rows,
            "failed": listed(text(_LONG), 4096),
            "stopping": truth,
            "exit_code": _popen,
        },
        {"alone": listed(text(_LONG), 4096)},
    ),
    STOPPING: _kept({}, {"reason": maybe(text(64))}),
    LATE: _kept({}, {"daemon": maybe(text(256)), "joined": _rank}),
    DAEMON_WANTED: _kept({"address": text(256), "serial": whole(), "command": text(1 << 18), "seal": text(256)}, {}),
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
# Of EXIT, what is for the record alone, which is the same object; see docs/reference/run_directory.md.
ONLY_RECORDED = ("rank_exits", "left", "unseen")

# Whatever a node told is passed on with its ``host``; these come from who follows all nodes. A screen trusts them.
TOLD_BY_FOLLOWER: Dict[str, Kind] = {
    PROBED: Kind({"host": text(), "answered": truth, "way": anything}),
    PLANNED: Kind({"plan": anything, "warnings": anything, "without_ifconfig": anything}),
    TIMED: Kind({"stages": anything, **dict.fromkeys(("nodes", "sessions", "starts", "sent", "received"), whole())}),
    STOPPING: Kind({}),
    SKIPPED: Kind({"host": text(), "log": like(LOG_NAME), "size": _size}),
    SUSPECT: Kind({"host": text()}),
    BACK: Kind({"host": text()}),
    LOST: Kind({"host": text(), "message": text()}),
    IDLE: Kind({"seconds": number()}),
    RESTART: Kind({"attempt": whole(1), "of": whole(1), "replaced": mapped(text(), 1 << 17), "plan": anything}),
}
# What concerns the whole run and no single node: one that tells it, and so has a host, forges it.
OF_THE_RUN = (RESTART, STOPPING, IDLE, PLANNED, TIMED)

# To the callback that draws, beside these, ``on_node(kind)`` for each event of the two tables above.
TOLD_TO_CALLBACK: Dict[str, Kind] = {
    TEXT: Kind({"text": anything, "job": truth}),
    NODES: Kind({"nodes": anything}),
    BARRIER: Kind({}),
}


def on_node(kind: str) -> str:
    """Name a kind of event as the callback that draws is told of it: its own kinds may have the same names."""
    return "node_" + kind

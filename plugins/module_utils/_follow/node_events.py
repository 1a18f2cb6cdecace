# SPDX-License-Identifier: Apache-2.0
"""
What a node may tell whoever follows: every kind of event, its fields, and what is in them.

This is the contract between a supervisor, or a reader of its files, and a follower. It is checked at the
door, so that nobody behind it has to doubt a key or a type; what is not written here does not come in.
Pure; private to the collection.

What stands here is about the node that tells it: there is no field for another node's name.
"""

from __future__ import annotations

import re
from typing import Any, Dict, NamedTuple, Optional, Set, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common.schema import (
    Shape,
    like,
    listed,
    mapped,
    maybe,
    one_of,
    second,
    text,
    truth,
    whole,
)
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import Plan
from ansible_collections.madctl.multinode.plugins.module_utils._common.wire import WireError
from ansible_collections.madctl.multinode.plugins.module_utils._follow.run_outcome import NodeRun

MOST_RANKS = 1 << 17
# Of one node, in one run; what is beyond them is not kept and not shown.
MOST_LOGS, MOST_EVENTS = 1 << 14, 1 << 16
_LONG = 1 << 14
LOG = re.compile(r"(rank-(\d{1,7}|None)|runner)\.(out|err|stack)")

_rank, _status, _signal, _size = whole(0, MOST_RANKS), whole(0, 1 << 16), whole(0, 128), whole(0, 1 << 62)
_ended: Dict[str, Shape] = {"exit_code": maybe(_status), "signal": maybe(_signal)}
_identity = {name: maybe(_rank) for name in ("rank", "local_rank", "world_size", "local_world_size")}
_program = {**_identity, "pid": whole(), "argv0": text(), "reason": text(64)}


# What a rank does once, and a node with its models.
_ONCE = ("joined", "exec_failed", "rank_exit", "models")


class Kind(NamedTuple):
    """The fields of one kind of event."""

    required: Dict[str, Shape]
    optional: Dict[str, Shape] = {}


def _kept(required: Dict[str, Shape], optional: Dict[str, Shape]) -> Kind:
    """Give a kind that is kept in ``events.jsonl``, with a number and mostly a time."""
    return Kind({"seq": whole(1), **required}, {"time": second, **optional})


KINDS: Dict[str, Kind] = {
    "ready": Kind(
        {"boot_id": text(128)}, {"run_id": text(256), "container": maybe(text(256)), "pid": whole(), "tail": truth}
    ),
    "refused": Kind({"message": text(_LONG)}),
    "end": Kind({}),
    "log": Kind({"log": like(LOG), "offset": _size}),
    "skipped": Kind({"log": like(LOG), "size": _size}),
    "armed": _kept(
        {},
        {
            "storage": maybe(text()),
            "node_rank": _rank,
            "boot_id": text(128),
            "container": maybe(text(256)),
            "pid": whole(),
        },
    ),
    "started": _kept({}, {"pid": whole()}),
    "start_failed": _kept({"message": text(_LONG)}, {}),
    "joined": _kept({"rank": maybe(_rank)}, _program),
    "files_short": _kept({"rank": maybe(_rank)}, {}),
    "apart": _kept({"rank": _rank, "launcher": text(256), "size": whole(0, 1 << 64)}, {}),
    "exec_failed": _kept({"argv0": text(), "errno": whole(0, 4096)}, _program),
    "rank_exit": _kept(
        {"rank": maybe(_rank), **_ended}, {"stopping": truth, "oom": truth, "error": maybe(text(_LONG))}
    ),
    "runner_exit": _kept(_ended, {}),
    "models": _kept(
        {
            "rows": listed(mapped(text(1 << 18), 1024, text(_LONG)), 1 << 14),
            "failed": listed(text(_LONG), 4096),
            "stopping": truth,
            "exit_code": maybe(whole(-128, 1 << 16)),
        },
        {"alone": listed(text(_LONG), 4096)},
    ),
    "stopping": _kept({}, {"reason": maybe(text(64))}),
    "late": _kept({}, {"daemon": maybe(text(256)), "joined": _rank}),
    "daemon_wanted": _kept({"address": text(256), "serial": whole(), "command": text(1 << 18), "seal": text(256)}, {}),
    "relay_refused": _kept({"message": text()}, {}),
    "log_degraded": _kept({"log": like(LOG), "size": _size}, {}),
    "no_dump": _kept({}, {}),
    "exit": _kept(
        {"outcome": one_of("exited", "lost", "disarmed", "start_failed"), **_ended},
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


def rank_of(log: str) -> Optional[int]:
    """Give the rank that a log is of; None where it is of none."""
    found = LOG.fullmatch(log)
    return int(found[2]) if found and found[2] and found[2].isdigit() else None


def check(header: Dict[str, Any]) -> Optional[Dict[str, Any]]:
    """
    Give what is known of an event, and nothing else; None for a kind that only a later version knows.

    Raises:
        WireError: If it is not what its kind has to be.
    """
    if type(header.get("event")) is not str:
        raise WireError("an event of no kind")
    kind = KINDS.get(header["event"])
    if kind is None:
        return None
    found = {"event": header["event"]}
    for key, shape in kind.required.items():
        if key not in header or not shape(header[key]):
            raise WireError("%s without a good %s" % (found["event"], key))
        found[key] = header[key]
    for key, shape in kind.optional.items():
        if key in header:
            if not shape(header[key]):
                raise WireError("%s with an odd %s" % (found["event"], key))
            found[key] = header[key]
    return found


class Door:
    """The way in for all that one node tells in one run."""

    def __init__(self, run: NodeRun, plan: Plan, to_end: bool) -> None:
        self._run, self._to_end = run, to_end
        self._may_be_mpi = plan.get("runner", "mpirun") == "mpirun"
        self._once: Set[Tuple[str, Optional[int]]] = set()
        self._told = 0

    def take(self, header: Dict[str, Any]) -> Optional[Dict[str, Any]]:
        """
        Give an event to be believed, as far as this node itself is concerned; None for one that says nothing new.

        Raises:
            WireError: If no supervisor of this run could have sent it.
        """
        event, run = check(header), self._run
        # What comes after the end is nothing of the run.
        if event is None or run.exit is not None or self._is_no_log_of_ours(event):
            return None
        self._must_fit(event)
        if "seq" not in event:
            return event
        if event["seq"] <= run.seq or self._is_told_again(event):
            return None  # Perhaps it was heard before the link was cut.
        run.seq = event["seq"]
        return event

    def lets_out(self, name: str) -> bool:
        """Count an event that is passed on, and tell whether it may be: no node fills the memory of who follows it."""
        self._told += 1
        return self._told <= MOST_EVENTS or name == "exit"

    def _is_no_log_of_ours(self, event: Dict[str, Any]) -> bool:
        """Tell whether it is of a file that the job put beside the logs: of another node's rank, or one too many."""
        log = event.get("log")
        if log is None or log in self._run.offsets:
            return False
        return not self._run.may_have(rank_of(log)) or len(self._run.offsets) >= MOST_LOGS

    def _must_fit(self, event: Dict[str, Any]) -> None:
        """No node speaks for another, ends what is not over, or asks for what nobody needs."""
        name = event["event"]
        if not self._run.may_have(event.get("rank")):
            raise WireError("%s of a rank that is another node's" % name)
        if name == "end" and self._to_end:
            raise WireError("an end before the run has one")
        if name == "daemon_wanted" and self._run.node_rank or name == "late" and not self._may_be_mpi:
            raise WireError("%s where no mpirun is" % name)

    def _is_told_again(self, event: Dict[str, Any]) -> bool:
        """Tell whether it is what a rank does once, and did."""
        own = (event["event"], event.get("rank"))
        if own[0] not in _ONCE or own[0] != "models" and own[1] is None:
            return False
        if own[0] == "joined" and ("rank_exit", own[1]) in self._once:
            # A script that calls mpirun again has the same ranks again.
            self._once -= {own, ("rank_exit", own[1])}
        is_known = own in self._once
        self._once.add(own)
        return is_known

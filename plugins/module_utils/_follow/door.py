# SPDX-License-Identifier: Apache-2.0
"""
Check what a node sends to a follower against the table of events. Pure; private to the collection.

Everything is checked here, so code behind the door can rely on keys and types. Anything that is not in the table is
kept out. An event is always about the node that sends it: no field names another node.
"""

from __future__ import annotations

from typing import Any, Dict, Optional, Set, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import events, runners
from ansible_collections.madctl.multinode.plugins.module_utils._common.run_directory import rank_of
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import Plan
from ansible_collections.madctl.multinode.plugins.module_utils._common.wire import WireError
from ansible_collections.madctl.multinode.plugins.module_utils._follow.node_run import NodeRun

# Per node and run; anything beyond is neither kept nor shown.
MOST_LOGS, MOST_EVENTS = 1 << 14, 1 << 16

# What a rank, or a node with its models, reports only once.
_ONCE = (events.JOINED, events.EXEC_FAILED, events.RANK_EXIT, events.MODELS)


def check(header: Dict[str, Any]) -> Optional[Dict[str, Any]]:
    """
    Return the known fields of an event; None for a kind that only a later version knows.

    Raises:
        WireError: If the event does not match its kind.
    """
    if type(header.get("event")) is not str:
        raise WireError("an event without a kind")
    kind = events.TOLD_BY_NODES.get(header["event"])
    if kind is None:
        return None
    found = {"event": header["event"]}
    for key, shape in kind.required.items():
        if key not in header or not shape(header[key]):
            raise WireError("%s without a valid %s" % (found["event"], key))
        found[key] = header[key]
    for key, shape in kind.optional.items():
        if key in header:
            if not shape(header[key]):
                raise WireError("%s with an invalid %s" % (found["event"], key))
            found[key] = header[key]
    return found


class Door:
    """The way in for everything that one node sends in one run."""

    def __init__(self, run: NodeRun, plan: Plan, to_end: bool) -> None:
        self._run, self._to_end = run, to_end
        ranks = runners.ranks_by(plan.get("runner"))
        self._may_have_daemons = bool(ranks.daemons) or ranks is runners.UNKNOWN
        self._once: Set[Tuple[str, Optional[int]]] = set()
        self._told = 0

    def take(self, header: Dict[str, Any]) -> Optional[Dict[str, Any]]:
        """
        Return an event that can be trusted about this node; None if it reports nothing new.

        Raises:
            WireError: If no supervisor of this run could have sent it.
        """
        event, run = check(header), self._run
        # Anything after the end does not belong to the run.
        if event is None or run.exit is not None or self._is_no_log_of_ours(event):
            return None
        self._must_fit(event)
        if "seq" not in event:
            return event
        if event["seq"] <= run.seq or self._is_told_again(event):
            return None  # It may have arrived before the connection was cut.
        run.seq = event["seq"]
        return event

    def lets_out(self, name: str) -> bool:
        """Count an event and return whether it may be passed on: a node must not fill the follower's memory."""
        self._told += 1
        return self._told <= MOST_EVENTS or name == events.EXIT

    def _is_no_log_of_ours(self, event: Dict[str, Any]) -> bool:
        """Return whether it is about a file that the job put beside the logs: another node's rank, or one too many."""
        log = event.get("log")
        if log is None or log in self._run.offsets:
            return False
        return not self._run.may_have(rank_of(log)) or len(self._run.offsets) >= MOST_LOGS

    def _must_fit(self, event: Dict[str, Any]) -> None:
        """Refuse a node that reports for another, ends what is not over, or requests what no runner needs."""
        name = event["event"]
        if not self._run.may_have(event.get("rank")):
            raise WireError("%s of another node's rank" % name)
        if name == events.END and self._to_end:
            raise WireError("an end before the end of the run")
        if name == events.DAEMON_WANTED and self._run.node_rank or name == events.LATE and not self._may_have_daemons:
            raise WireError("%s without mpirun" % name)

    def _is_told_again(self, event: Dict[str, Any]) -> bool:
        """Return whether it repeats an event that a rank has only once."""
        own = (event["event"], event.get("rank"))
        if own[0] not in _ONCE or own[0] != events.MODELS and own[1] is None:
            return False
        if own[0] == events.JOINED and (events.RANK_EXIT, own[1]) in self._once:
            # A script that calls mpirun again starts the same ranks again.
            self._once -= {own, (events.RANK_EXIT, own[1])}
        is_known = own in self._once
        self._once.add(own)
        return is_known

# SPDX-License-Identifier: Apache-2.0
"""
Judge what a node tells whoever follows, by the table of events, before anybody believes it.

It is checked at the door, so that nobody behind it has to doubt a key or a type; what is not written in the table
does not come in. Pure; private to the collection.

What comes in is about the node that tells it: there is no field for another node's name.
"""

from __future__ import annotations

from typing import Any, Dict, Optional, Set, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import events, runners
from ansible_collections.madctl.multinode.plugins.module_utils._common.run_directory import rank_of
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import Plan
from ansible_collections.madctl.multinode.plugins.module_utils._common.wire import WireError
from ansible_collections.madctl.multinode.plugins.module_utils._follow.run_outcome import NodeRun

# Of one node, in one run; what is beyond them is not kept and not shown.
MOST_LOGS, MOST_EVENTS = 1 << 14, 1 << 16

# What a rank does once, and a node with its models.
_ONCE = (events.JOINED, events.EXEC_FAILED, events.RANK_EXIT, events.MODELS)


def check(header: Dict[str, Any]) -> Optional[Dict[str, Any]]:
    """
    Give what is known of an event, and nothing else; None for a kind that only a later version knows.

    Raises:
        WireError: If it is not what its kind has to be.
    """
    if type(header.get("event")) is not str:
        raise WireError("an event of no kind")
    kind = events.TOLD_BY_NODES.get(header["event"])
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
        ranks = runners.ranks_by(plan.get("runner"))
        self._may_have_daemons = bool(ranks.daemons) or ranks is runners.UNKNOWN
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
        return self._told <= MOST_EVENTS or name == events.EXIT

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
        if name == events.END and self._to_end:
            raise WireError("an end before the run has one")
        if name == events.DAEMON_WANTED and self._run.node_rank or name == events.LATE and not self._may_have_daemons:
            raise WireError("%s where no mpirun is" % name)

    def _is_told_again(self, event: Dict[str, Any]) -> bool:
        """Tell whether it is what a rank does once, and did."""
        own = (event["event"], event.get("rank"))
        if own[0] not in _ONCE or own[0] != events.MODELS and own[1] is None:
            return False
        if own[0] == events.JOINED and (events.RANK_EXIT, own[1]) in self._once:
            # A script that calls mpirun again has the same ranks again.
            self._once -= {own, (events.RANK_EXIT, own[1])}
        is_known = own in self._once
        self._once.add(own)
        return is_known

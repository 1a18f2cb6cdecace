# SPDX-License-Identifier: Apache-2.0
"""
End what a job left behind, with proof, and record how this node's part ended. Delivered beside the supervisor.

The supervisor adopts all orphans, so the kernel shows whether any process of the job is left. Private to the
collection.
"""

from __future__ import annotations

import os
import signal
import time
from typing import Any, Callable, Dict, Iterator, List, Set, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import events, run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._node import processes, small_files
from ansible_collections.madctl.multinode.plugins.module_utils._supervise import job_setup, node_claim
from ansible_collections.madctl.multinode.plugins.module_utils._supervise.runner_processes import how

CHASES = 100
KILL_SECONDS = 10.0
RETRY_SECONDS = 0.2
UNSEEN = "processes that cannot be seen, or that start each other too fast to be found"


class Sweep:
    """The search for everything that is left after the runner has ended."""

    def __init__(self, run_id: str, runners: Any, beacon: Any) -> None:
        self._run_id, self._runners, self._beacon = run_id, runners, beacon
        self.signal = signal.SIGTERM
        # Whether there were no children when they were last collected.
        self.is_childless = False

    def ended(self) -> Iterator[int]:
        """Yield each child that ended, to be collected before the next one; record whether there are any children."""
        while True:
            try:
                child = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                self.is_childless = True
                return
            self.is_childless = False
            if child is None:
                return
            yield child.si_pid

    def strike(self, collect: Callable[[], None]) -> bool:
        """Signal everything that is left, and return whether nothing was left."""
        marked, ours = self._find()
        processes.kill_marked(self._run_id, marked, self.signal)
        processes.send(ours, self.signal)
        if self.signal == signal.SIGKILL:
            self._chase(collect)
        return not marked and not ours and self._is_empty()

    def left(self) -> Tuple[List[int], List[str]]:
        """Return the processes that are left, and a text instead if they cannot be named."""
        found: List[int] = sum(self._find(), [])
        return found, [] if found or self._is_empty() else [UNSEEN]

    def _chase(self, collect: Callable[[], None]) -> None:
        """Kill processes that start another one and end, faster than all processes can be listed."""
        before: Set[int] = set()
        for _ in range(CHASES):
            children = processes.children(os.getpid()) - self._helpers()
            if children <= before:
                return  # They are already dead, or do not end.
            processes.send(children, signal.SIGKILL)
            before = children
            collect()

    def _helpers(self) -> Set[int]:
        cleaner = {self._runners.cleaner} if self._runners.is_cleaning else set()
        beacon: Set[int] = self._beacon.children if self._beacon else set()
        sampler: Set[int] = self._runners.sampler.helpers()
        return cleaner | sampler | beacon

    def _is_empty(self) -> bool:
        """
        Return whether nothing of the job is left, according to the kernel.

        All orphans become our children, so every process of the job descends from one of them. A child that ended
        counts until it is collected: it may have left another one.
        """
        if self.is_childless:
            return True
        helpers = self._helpers()
        return bool(helpers) and not processes.children(os.getpid()) - helpers

    def _find(self) -> Tuple[List[int], List[int]]:
        """Find the processes that carry this run's id, and those that descend from us without it."""
        _, marked = processes.find(self._run_id)
        ours = processes.descendants(os.getpid(), self._helpers())
        return marked, sorted(ours - set(marked))


def conclude(supervisor: Any, outcome: str) -> Dict[str, Any]:
    """Write the record of how a run ended here, release the node and shared storage, and return the record."""
    if outcome == run_directory.DISARMED:
        job_setup.end(supervisor.spec)
    left, unseen = supervisor.sweep.left() if outcome == run_directory.EXITED else ([], [])
    found = record(supervisor, outcome, left, unseen)
    node_claim.keep_record(found)
    if supervisor.beacon:
        supervisor.beacon.end()
    if supervisor.lock is not None:
        # Before the end is reported: the next launch may follow immediately.
        os.close(supervisor.lock)
        supervisor.lock = None
    small_files.remove(run_directory.RELAY_SOCKET, run_directory.RELAY_KEY)
    return found


def record(supervisor: Any, outcome: str, left: List[int], unseen: List[str]) -> Dict[str, Any]:
    """Return the record of how a node's part ended; see docs/reference/run_directory.md."""
    runners, ranks = supervisor.runners, supervisor.ranks
    # On a node whose daemon was never requested, nothing can have failed.
    nothing = runners.status is None and outcome == run_directory.EXITED and not runners
    status = 0 if nothing else runners.status
    return {
        "event": events.EXIT,
        "outcome": outcome,
        "time": time.time(),
        **how(status),
        "oom": status == -signal.SIGKILL and processes.oom_kills() > ranks.oom_kills,
        "ranks_joined": len(ranks.joined),
        "rank_exits": ranks.exits,
        "apart": sorted(rank for rank in supervisor.worlds.apart if rank is not None),
        "stopped": supervisor.reason is not None,
        "reason": supervisor.reason,
        "trouble": supervisor.trouble,
        "daemon": supervisor.relay and supervisor.relay.held_up,
        "left_behind": [*map(processes.describe, left), *unseen, *runners.left()],
        # The start time makes a process id unique.
        "left": [[pid, processes.started(pid)] for pid in left],
        "unseen": bool(unseen),
        "bytes_lost": sum(log.lost for log in supervisor.feed.logs.values()),
    }


def give_up(supervisor: Any) -> None:
    """End what is left without the supervisor's loop, which is no longer trusted, write the record, and exit."""
    try:
        os.closerange(3, 1 << 16)  # The search needs descriptors, and the lack of them may be the cause.
        left, unseen = _end_all(supervisor)
        if supervisor.state != "done":
            node_claim.keep_record(record(supervisor, run_directory.EXITED, left, unseen))
        small_files.remove(run_directory.CONTROL_SOCKET, run_directory.RANKS_SOCKET)
    except Exception as error:  # noqa: BLE001
        node_claim.explain(error)
    finally:
        os._exit(1)


def _end_all(supervisor: Any) -> Tuple[List[int], List[str]]:
    """Kill everything, and return what is left; if the machine has no descriptors, kill at least the runner's group."""
    deadline = time.monotonic() + KILL_SECONDS
    while True:
        try:
            return processes.end_all(supervisor.spec["run_id"], KILL_SECONDS), []
        except OSError:
            supervisor.runners.signal(signal.SIGKILL)
            if time.monotonic() > deadline:
                return [], [UNSEEN]
            time.sleep(RETRY_SECONDS)

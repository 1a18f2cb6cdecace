# SPDX-License-Identifier: Apache-2.0
"""
Run a supervisor until its run is over, despite errors in the supervisor itself: the job must not outlive it.

Delivered beside the supervisor; private to the collection.
"""

from __future__ import annotations

import selectors
import time
from functools import partial
from typing import Any, List, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common import run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._common.run_directory import Reason
from ansible_collections.madctl.multinode.plugins.module_utils._node import small_files
from ansible_collections.madctl.multinode.plugins.module_utils._node.failure_flag import LOOK_SECONDS
from ansible_collections.madctl.multinode.plugins.module_utils._supervise import final_sweep, node_claim, passed_signals

# After this many internal errors within that time, the loop is no longer trusted.
BREAKS, BREAK_SECONDS = 20, 12.0
PAUSE_SECONDS = 0.05
# In a scheduler's job, the loop checks this often whether it was suspended: then it wakes up that much later.
LOOK_AGAIN_SECONDS, STOPPED_SECONDS = 5.0, 5.0
# Processes outside our tree report nothing when they die, so a sweep checks again.
SWEEP_INTERVAL_SECONDS = 0.1


def run(supervisor: Any) -> None:
    """Serve until the run is over and its follower knows everything."""
    errors: List[float] = []
    supervisor.awake_at = time.monotonic()
    supervisor.feed.pass_on = partial(passed_signals.pass_on, supervisor)
    while supervisor.state != "done" or supervisor.feed.is_behind:
        try:
            _turn(supervisor)
        except Exception as error:  # noqa: BLE001  the job must not outlive us
            # A lack of descriptors on the whole machine passes; an error that repeats immediately does not.
            now = time.monotonic()
            errors = [at for at in errors if now - at < BREAK_SECONDS] + [now]
            time.sleep(PAUSE_SECONDS * (len(errors) - 1))
            _broke(supervisor, error, len(errors) <= BREAKS)
    small_files.remove(run_directory.CONTROL_SOCKET, run_directory.RANKS_SOCKET)


def _turn(supervisor: Any) -> None:
    """Call a supervisor when something can be read, or a deadline has passed."""
    _catch_up(supervisor)
    patience, began = _patience(supervisor), time.monotonic()
    found = supervisor.selector.select(patience)
    supervisor.awake_at = time.monotonic()
    late = supervisor.awake_at - began - (patience or 0.0)
    if patience is not None and late > STOPPED_SECONDS:
        _postpone(supervisor, late)
    for key, _ in found:
        try:
            key.data(key.fileobj)
        except Exception:
            _mute(supervisor, key)
            raise
    supervisor.reap()
    _catch_up(supervisor)
    _watch_clock(supervisor)
    supervisor.feed.send()


def _catch_up(supervisor: Any) -> None:
    """Exclude the time for which this process was suspended while it was awake."""
    now = time.monotonic()
    if supervisor.spec["in_step"] and now - supervisor.awake_at > STOPPED_SECONDS:
        _postpone(supervisor, now - supervisor.awake_at)
    supervisor.awake_at = now


def _patience(supervisor: Any) -> Optional[float]:
    """Return how many seconds to wait at most; None without a limit."""
    if supervisor.state == "sweeping":
        return SWEEP_INTERVAL_SECONDS
    join_by = supervisor.relay.join_by if supervisor.relay else None
    known = (supervisor.deadline, supervisor.timeout, supervisor.look_at, join_by, supervisor.worlds.at)
    times = [at for at in known if at is not None]
    patience = max(0.0, min(times) - time.monotonic()) if times else None
    return min(patience, LOOK_AGAIN_SECONDS) if patience is not None and supervisor.spec["in_step"] else patience


def _postpone(supervisor: Any, seconds: float) -> None:
    """Postpone all deadlines by the time for which this process, and the job with it, was stopped."""
    for owner, name in (
        (supervisor, "deadline"),
        (supervisor, "timeout"),
        (supervisor, "look_at"),
        (supervisor.relay, "join_by"),
        (supervisor.worlds, "at"),
    ):
        at = getattr(owner, name, None)
        if at is not None:
            setattr(owner, name, at + seconds)


def _watch_clock(supervisor: Any) -> None:
    now = time.monotonic()
    if supervisor.timeout is not None and now >= supervisor.timeout:
        supervisor.timeout = None
        supervisor.stop(Reason.TIMED_OUT)
    if supervisor.relay and supervisor.relay.join_by is not None and now >= supervisor.relay.join_by:
        supervisor.late()
    if supervisor.look_at is not None and now >= supervisor.look_at and supervisor.beacon:
        supervisor.look_at = now + LOOK_SECONDS
        supervisor.beacon.look()
    supervisor.worlds.look(now, supervisor.ranks.joined)
    if supervisor.deadline is not None and now >= supervisor.deadline:
        supervisor.deadline_passed()


def _mute(supervisor: Any, key: selectors.SelectorKey) -> None:
    """Stop listening to what caused an error, or it would repeat forever; signals and orders stay."""
    if key.fileobj not in (supervisor.wake, supervisor.feed.follower) and key.fd in supervisor.selector.get_map():
        supervisor.selector.unregister(key.fileobj)
        supervisor.feed.pipes.discard(key.fd)


def _broke(supervisor: Any, error: Exception, is_trusted: bool) -> None:
    """End the job after an internal error, and keep the reason."""
    supervisor.trouble = supervisor.trouble or "%s: %s" % (type(error).__name__, error)
    node_claim.explain(error)
    try:
        if not is_trusted:
            final_sweep.give_up(supervisor)
        elif supervisor.state == "armed":
            supervisor.finish(run_directory.DISARMED)
        elif supervisor.state == "running":
            supervisor.reason = Reason.BROKEN
            supervisor.kill()
        supervisor.feed.send()
    except Exception as another:  # noqa: BLE001
        node_claim.explain(another)
        final_sweep.give_up(supervisor)

# SPDX-License-Identifier: GPL-3.0-or-later
"""What stops or detaches a run that is followed: signals, orders, the death of ansible-playbook."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, wire
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import event_queue
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.conductor import Conductor

# If Ansible was interrupted, it may not listen any more.
_HURRY_SECONDS = 5.0
# The time for a graceful stop and the steps after it.
_STOPPING_SECONDS = 90.0


def obey(conductor: Conductor, events: event_queue.Events) -> None:
    """Stop on a signal to this process and on an order from the listener; detach when ansible-playbook has died."""
    conductor.is_held = events.is_full
    on_signal = _obey_signals(conductor, events)
    _watch_parent(conductor, events, on_signal)
    listener = events.listener
    if listener is None:
        return

    def on_order() -> None:
        order = listener.recv(1)
        conductor.obey(order)
        if order not in (wire.KILL, wire.STOP):
            # The listener has gone, or is about to: a run belongs to its nodes.
            conductor.loop.unwatch(listener)
            events.leave()

    conductor.loop.watch(listener, on_order)


def _obey_signals(conductor: Conductor, events: event_queue.Events) -> Callable[[], None]:
    """Turn signals into interrupts of the loop; return the function that handles those that have arrived."""
    reason = codes.problem("INTERRUPTED", None, "interrupted")
    wake, waker = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)

    def on_signal() -> None:
        try:
            numbers = os.read(wake, 64)
        except BlockingIOError:
            return
        # An interrupted Ansible also terminates its workers, and the order of the two signals is not defined: a
        # SIGTERM after an interrupt is not a second one.
        times = numbers.count(signal.SIGINT) or int(signal.SIGTERM in numbers and not conductor.interrupted)
        for _ in range(times):
            conductor.interrupt(reason)
            events.hurry(_HURRY_SECONDS)
        if conductor.detached:
            events.leave(_HURRY_SECONDS)

    conductor.loop.watch(wake, on_signal)
    return on_signal


def _watch_parent(conductor: Conductor, events: event_queue.Events, on_signal: Callable[[], None]) -> None:
    """Detach when ansible-playbook, whose worker this is, has died; if it was interrupted, end this process in time."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    sentinel = parent.sentinel

    def on_death() -> None:
        conductor.loop.unwatch(sentinel)
        on_signal()  # It may have passed on the signal that killed it.
        events.hurry(0)
        events.leave()
        if conductor.interrupted:
            event_queue.end_process(_STOPPING_SECONDS)  # Even if nodes cannot be told to stop.
        else:
            conductor.detach()

    conductor.loop.watch(sentinel, on_death)

# SPDX-License-Identifier: GPL-3.0-or-later
"""What stops whoever follows a run, or has them let go: signals, orders, the death of ansible-playbook."""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, wire
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import event_queue
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.conductor import Conductor

# Where Ansible was interrupted, and may not listen any more.
_HURRY_SECONDS = 5.0
# A graceful stop and what comes after it.
_STOPPING_SECONDS = 90.0


def obey(conductor: Conductor, events: event_queue.Events) -> None:
    """Stop on a signal to this process and on an order from whoever listens; let go when ansible-playbook has died."""
    listener = events.listener
    conductor.is_held = events.is_full
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
        # Ansible that is interrupted terminates its workers, too, and which signal comes first is nobody's promise:
        # that is no second interrupt.
        times = numbers.count(signal.SIGINT) or int(signal.SIGTERM in numbers and not conductor.interrupted)
        for _ in range(times):
            conductor.interrupt(reason)
            events.hurry(_HURRY_SECONDS)
        if conductor.detached:
            events.leave(_HURRY_SECONDS)

    conductor.loop.watch(wake, on_signal)
    parent = multiprocessing.parent_process()

    def on_death(sentinel: int) -> None:
        conductor.loop.unwatch(sentinel)
        on_signal()  # It may have passed on what killed it.
        events.hurry(0)
        events.leave()
        if conductor.interrupted:
            event_queue.end_process(_STOPPING_SECONDS)  # Nodes that cannot be told to stop keep nobody here.
        else:
            conductor.detach()

    if parent is not None:
        conductor.loop.watch(parent.sentinel, functools.partial(on_death, parent.sentinel))
    if listener is None:
        return

    def on_order() -> None:
        order = listener.recv(1)
        conductor.obey(order)
        if order not in (wire.KILL, wire.STOP):
            # Whoever listened has gone, or wants to go: a run belongs to its nodes.
            conductor.loop.unwatch(listener)
            events.leave()

    conductor.loop.watch(listener, on_order)

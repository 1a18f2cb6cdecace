# SPDX-License-Identifier: GPL-3.0-or-later
"""Follow a run in a cluster from an action: its events on the screen, and signals as orders to the run."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common import wire
from ansible_collections.madctl.multinode.plugins.module_utils._common.refusal import Refused
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import event_queue
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import word
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes.cluster import Cluster
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes.following import Following, Listener
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes.obeying import KILL, STOP, Obeying
from ansible_collections.madctl.multinode.plugins.module_utils._request.variables import BY_NAME
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import playbook_screen
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen.cluster_screen import ClusterScreen

# Arguments whose variables are named after Kubernetes.
FULL = {name[len("k8s_") :]: name for name in BY_NAME if name.startswith("k8s_")}
_PLACE = ("k8s_kubeconfig", "k8s_context", "k8s_namespace")
# How long the order may take to reach the run if ansible-playbook has died.
_ORPHAN_SECONDS = 30.0
# If Ansible was interrupted, it may not listen any more.
_HURRY_SECONDS = 5.0
# How often to check whether the reader of the screen accepts more.
_HELD_SECONDS = 0.05


def reach(asked: Mapping[str, Any]) -> Cluster:
    """
    Return the cluster that arguments name.

    Raises:
        AnsibleActionFail: If the package is missing, or there is no usable kubeconfig.
    """
    try:
        return Cluster(*(str(asked.get(name) or "") for name in _PLACE))
    except Refused as refused:
        raise playbook_screen.refusal([refused.problem]) from refused


class _Signals:
    """Counts interrupts of this process, which is a worker of ansible-playbook."""

    def __init__(self) -> None:
        self.interrupts = 0
        self._parent = multiprocessing.parent_process()
        self._orphan_at: float | None = None
        signal.signal(signal.SIGINT, self._on_interrupt)
        signal.signal(signal.SIGTERM, self._on_end)

    def _on_interrupt(self, *_: object) -> None:
        self.interrupts += 1

    def _on_end(self, *_: object) -> None:
        # An interrupted Ansible also terminates its workers: that is not a second interrupt.
        self.interrupts = self.interrupts or 1

    @property
    def order(self) -> str | None:
        """The order for the run."""
        return None if not self.interrupts else STOP if self.interrupts == 1 else KILL

    @property
    def is_orphan(self) -> bool:
        """Whether ansible-playbook has died: then there is no reader any more."""
        return self._parent is not None and not self._parent.is_alive()

    def is_time_to_leave(self) -> bool:
        """Return whether there is no reader, and the run either belongs to its pods, or had time to get the order."""
        if not self.is_orphan:
            return False
        self._orphan_at = self._orphan_at or time.monotonic()
        return not self.interrupts or time.monotonic() - self._orphan_at > _ORPHAN_SECONDS


class Player:
    """Shows one run to its end, or its existing output."""

    def __init__(self, cluster: Cluster, run_id: str, screen: ClusterScreen) -> None:
        self._cluster, self._run_id, self._screen = cluster, run_id, screen
        self._signals = _Signals()

    def play(self, stuck_seconds: float) -> dict[str, Any]:
        """
        Follow the run to its end, with interrupts as orders to it, and return how it ended.

        Args:
            stuck_seconds: How long a pod may be unable to start before the run is given up.
        """
        return self._played(True, True, stuck_seconds)

    def read(self, follow: bool) -> dict[str, Any]:
        """
        Show what the run has printed; orders do not reach it.

        Args:
            follow: Whether to also show what it will print.
        """
        return self._played(follow, False, None)

    def _played(self, follow: bool, leads: bool, stuck_seconds: float | None) -> dict[str, Any]:
        screen = self._screen
        # Another thread shows the output: this one must be able to obey even if the output is blocked.
        with event_queue.Events(None, screen.on_event, screen.flush, True, screen.beat) as shown:
            listener = Listener(lambda frames: _pass_on(frames, shown), self._tell, lambda: None)
            with Following(self._cluster, self._run_id, listener, follow) as following:
                obeying = Obeying(self._cluster, self._run_id, following, self._tell, stuck_seconds)
                try:
                    return {"run_id": self._run_id, **self._turns(obeying, leads, shown)}
                except Refused as refused:
                    return {"run_id": self._run_id, **word.failed(refused.problem)}

    def _turns(self, obeying: Obeying, leads: bool, shown: event_queue.Events) -> dict[str, Any]:
        while True:
            if self._signals.interrupts:
                shown.hurry(_HURRY_SECONDS)
            if self._signals.is_orphan:
                shown.hurry(0)
                shown.leave()
            obeying.order = self._signals.order if leads else None
            result = obeying.turn()
            if result is not None:
                return result
            if self._signals.is_time_to_leave() or self._signals.interrupts and not leads:
                return {"detached": True, "problems": [], "exit_code": 0}
            while shown.is_full() and not self._signals.interrupts and not self._signals.is_orphan:
                time.sleep(_HELD_SECONDS)

    def _tell(self, text: str) -> None:
        if not self._signals.interrupts and not self._signals.is_orphan:
            playbook_screen.tell("queue", text)


def _pass_on(frames: Sequence[wire.Frame], shown: event_queue.Events) -> None:
    for event, payload in frames:
        shown.tell(event, payload)

# SPDX-License-Identifier: Apache-2.0
"""
Follow a run in a cluster, and obey its follower: stop it gracefully, kill it, or give it up if it cannot start.

Private to the collection.
"""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, Optional, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes
from ansible_collections.madctl.multinode.plugins.module_utils._common.refusal import Refused
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import orders, word
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes.cluster import Cluster
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes.following import Following

STOP, KILL = "stop", "kill"
_AGAIN_SECONDS = 2.0

Result = Dict[str, Any]


class Obeying:
    """Follows one run to its end, with orders."""

    def __init__(
        self,
        cluster: Cluster,
        run_id: str,
        following: Following,
        told: Callable[[str], None],
        stuck_seconds: Optional[float] = None,
    ) -> None:
        """
        Prepare.

        Args:
            told: Gets the reason why an order cannot be carried out.
            stuck_seconds: How long a pod may be in a state that waiting does not fix before the run is given up; None
                for no limit.
        """
        self._cluster, self._run_id, self._following, self._told = cluster, run_id, following, told
        self._stuck_seconds = stuck_seconds
        self._stuck_at: Optional[float] = None
        self._obeyed: Optional[str] = None
        self._again_at = 0.0
        self.order: Optional[str] = None

    def turn(self) -> Optional[Result]:
        """
        Process what has arrived, and carry out a new order; return the result once the run is over.

        Raises:
            Refused: If the server permanently refuses a needed request.
        """
        result = self._following.turn()
        return self._obey() or self._give_up() if result is None else self._interrupted(result)

    def _obey(self) -> Optional[Result]:
        """Carry out a new order: delete a run that has not begun, and tell a running one."""
        if self.order in (None, self._obeyed) or time.monotonic() < self._again_at:
            return None
        assert self.order is not None
        try:
            if self._following.has_begun:
                orders.tell(self._cluster, self._following.first_pod, self.order)
                self._obeyed = self.order
                return None
            orders.delete(self._cluster, self._run_id)
        except Refused as refused:
            if not refused.is_unreachable:
                # The run continues; the user may detach.
                self._obeyed = self.order
                self._told("%s; the run cannot be stopped" % refused.problem["message"])
                return None
            self._again_at = time.monotonic() + _AGAIN_SECONDS
            self._told("%s; trying again" % refused.problem["message"])
            return None
        return word.failed(codes.problem("INTERRUPTED", None, "interrupted; the job was deleted before it began"))

    def _interrupted(self, result: Result) -> Result:
        """Record in the result that an order stopped the run."""
        found = result.get("problems") or []
        if self._obeyed is None or not found or found[0]["code"] != "RUN_STOPPED":
            return result
        return word.judged(result, codes.problem("INTERRUPTED", None, "interrupted"))

    def _give_up(self) -> Optional[Result]:
        """Delete a run that cannot start, such as one whose image does not exist, after a while."""
        found = self._following.standing()
        if self._stuck_seconds is None or not found.stuck:
            self._stuck_at = None
            return None
        now = time.monotonic()
        self._stuck_at = self._stuck_at or now
        if now - self._stuck_at < self._stuck_seconds:
            return None
        try:
            orders.delete(self._cluster, self._run_id)
        except Refused as refused:
            self._told(refused.problem["message"])
        return word.failed(codes.problem("NODE_NOT_READY", found.host, found.reason))


def place(asked: Dict[str, Any]) -> Tuple[str, str, str]:
    """Return the kubeconfig, the context and the namespace in arguments; each may be empty."""
    kubeconfig, context, namespace = (
        str(asked.get("k8s_" + name) or "") for name in ("kubeconfig", "context", "namespace")
    )
    return kubeconfig, context, namespace

# SPDX-License-Identifier: GPL-3.0-or-later
"""The screen of a run in a Kubernetes cluster, whose output its pods print."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._show import masking, story
from ansible_collections.madctl.multinode.plugins.module_utils._show.chosen import EVERYTHING, Chosen
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import job_screen

_PLACE = ("k8s_kubeconfig", "k8s_context", "k8s_namespace")


def command(playbook: str, asked: Mapping[str, Any], run_id: str) -> str:
    """
    Build the command line of a playbook about a run.

    Args:
        asked: The arguments that name the cluster.
    """
    place = ["madctl_%s=%s" % (name, asked[name]) for name in _PLACE if asked.get(name)]
    words = ["madctl_on=k8s", *place, "madctl_run_id=%s" % run_id]
    return " ".join(
        ["ansible-playbook madctl.multinode.%s" % playbook, *("-e %s" % shlex.quote(word) for word in words)]
    )


class ClusterScreen(job_screen.JobScreen):
    """Shows the plan once the first pod has made it."""

    def __init__(
        self,
        asked: Mapping[str, Any],
        attached: bool = False,
        chosen: Chosen = EVERYTHING,
        secrets: Sequence[str] = (),
    ) -> None:
        """
        Prepare.

        Args:
            asked: The arguments that name the cluster.
            attached: Whether the run began earlier: then its start is not reported.
            chosen: Whose output to show.
            secrets: Values that no line may show.
        """
        super().__init__("", attached, chosen, secrets)
        self._asked = asked
        # A line of one pod may be read before the plan, which another one prints.
        self._mask = masking.Mask(secrets)
        self._story = story.Story((), self._mask, attached, wants_ranks=bool(chosen.ranks))

    def logs_of(self, run_id: str) -> str:
        """Build the command that shows the output of a run."""
        return command("logs", self._asked, run_id)

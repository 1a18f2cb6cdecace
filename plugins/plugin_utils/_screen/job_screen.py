# SPDX-License-Identifier: GPL-3.0-or-later
"""The screen of a run in a job: its plan is an event among the others, as the job makes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common import events
from ansible_collections.madctl.multinode.plugins.module_utils._show.chosen import EVERYTHING, Chosen
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import playbook_screen


class JobScreen(playbook_screen.Screen):
    """Shows the plan when the job has made it."""

    def __init__(self, attached: bool = False, chosen: Chosen = EVERYTHING, secrets: Sequence[str] = ()) -> None:
        """
        Prepare.

        Args:
            attached: Whether the run began before: then nothing is told of its start.
            chosen: Whose output is shown.
            secrets: What no line may show.
        """
        super().__init__(attached, chosen)
        self._secrets = secrets

    def on_event(self, event: dict[str, Any], payload: bytes) -> None:
        """Show one event."""
        if event["event"] != events.PLANNED:
            super().on_event(event, payload)
        elif event.get("plan") and "host" not in event:
            self.begin(event["plan"], self._secrets)
            if not self._story.is_attached:
                playbook_screen.planned(event["plan"], event.get("warnings") or [])

    def end(self, result: dict[str, Any]) -> None:
        """Show how the run ended, or why it did not start."""
        if "summary" in result or result["detached"]:
            self.done(result)
        else:
            playbook_screen.problems(result["problems"])

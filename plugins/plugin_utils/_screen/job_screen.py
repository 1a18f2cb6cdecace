# SPDX-License-Identifier: GPL-3.0-or-later
"""The screen of a run in a job: its plan is an event like the others, because the job makes it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, events
from ansible_collections.madctl.multinode.plugins.module_utils._show.chosen import EVERYTHING, Chosen
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import playbook_screen

_LOGS = "ansible-playbook madctl.multinode.logs -e madctl_on=slurm -e madctl_run_root=%s -e madctl_run_id=%s"
# How remedies of a run refer to its output.
_NAMED = re.compile(r"madctl logs (\S+)(?: --(host|rank) ([\w.:-]*\w))?")


def logs(root: str, run_id: str) -> str:
    """Build the command that shows the output of a run from the directory of runs."""
    return _LOGS % (shlex.quote(root), run_id)


def pointed(problems: Sequence[codes.Problem], logs_of: Callable[[str], str]) -> list[codes.Problem]:
    """
    Make remedies refer to the output of a run as it is found for a job.

    Args:
        logs_of: Builds the command that shows the output of a run.
    """

    def command(match: re.Match[str]) -> str:
        run_id, part, name = match.groups()
        return logs_of(run_id) + (" -e madctl_show_%ss=%s" % (part, name) if part else "")

    return [{**entry, "remedy": entry["remedy"] and _NAMED.sub(command, entry["remedy"])} for entry in problems]


class JobScreen(playbook_screen.Screen):
    """Shows the plan once the job has made it."""

    def __init__(
        self, root: str, attached: bool = False, chosen: Chosen = EVERYTHING, secrets: Sequence[str] = ()
    ) -> None:
        """
        Prepare.

        Args:
            root: The directory of runs.
            attached: Whether the run began earlier: then its start is not reported.
            chosen: Whose output to show.
            secrets: Values that no line may show.
        """
        super().__init__(attached, chosen)
        self._root, self._secrets = root, secrets

    def logs_of(self, run_id: str) -> str:
        """Build the command that shows the output of a run."""
        return logs(self._root, run_id)

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

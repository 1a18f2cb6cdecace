# SPDX-License-Identifier: GPL-3.0-or-later
"""
What a playbook shows beside Ansible's own lines: the story as madctl tells it, and the job's lines.

Where the callback ``madctl.multinode.live`` listens, it gets all of it, and what happens on each node as well;
otherwise lines go to Ansible's display.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterable, Sequence
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.utils.display import Display

from ansible_collections.madctl.multinode.plugins.module_utils._common import (
    codes,
    events,
    plain_text,
    unix_sockets,
    wire,
)
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import Plan
from ansible_collections.madctl.multinode.plugins.module_utils._request import playbook_variables
from ansible_collections.madctl.multinode.plugins.module_utils._show import (
    job_lines,
    masking,
    plan_text,
    problem_lines,
    story,
    timing_table,
)
from ansible_collections.madctl.multinode.plugins.module_utils._show import summary as run_summary
from ansible_collections.madctl.multinode.plugins.module_utils._show.chosen import EVERYTHING, Chosen

LIVE_SOCKET = "MADCTL_LIVE_SOCKET"
_LINES_AT_ONCE, _CHARACTERS_AT_ONCE = 1000, 1 << 16
_live: dict[int, socket.socket] = {}
# An action shows lines while its thread for events shows what happens on nodes.
_speaking = threading.Lock()


def send(event: dict[str, Any]) -> bool:
    """Send an event to the callback that draws, and return whether there is one."""
    path, own = os.environ.get(LIVE_SOCKET), os.getpid()
    if not path:
        return False
    with _speaking:
        if own not in _live:
            _live[own] = unix_sockets.connect(path)
        try:
            _live[own].sendall(wire.encode(event))
        except OSError:
            pass  # The callback has gone, and the screen with it.
    return True


def say(lines: Iterable[object], is_job: bool = False) -> None:
    """Show each text as one line, whatever is in it; ``is_job`` where they are the job's own."""
    waiting = [plain_text.plain(line, job_lines.KEPT if is_job else "") for line in lines]
    while waiting:
        # A message has a bound, and a job may print much at once.
        text = "\n".join(waiting[:_LINES_AT_ONCE])
        for piece in (text[at : at + _CHARACTERS_AT_ONCE] for at in range(0, len(text), _CHARACTERS_AT_ONCE)):
            if not send({"event": events.TEXT, "text": piece, "job": is_job}):
                Display().display(piece)
        del waiting[:_LINES_AT_ONCE]


def tell(stage: str, text: str) -> None:
    """Show a line of the story."""
    say([story.Sentence(stage, text)])


def lines(found: Sequence[codes.Problem]) -> list[str]:
    """Write problems as madctl does, with remedies in the words of playbooks."""
    return ["madctl: " + line for line in _folded(found)]


def _folded(found: Sequence[codes.Problem]) -> list[str]:
    words = playbook_variables.in_words_of_playbooks
    return problem_lines.lines([{**entry, "remedy": words(entry["remedy"] or "")} for entry in found])


def problems(found: Sequence[codes.Problem]) -> None:
    """Show problems, one line for all hosts that have the same."""
    say(lines(found))


def notices(found: Sequence[codes.Problem]) -> None:
    """Show problems that stop nothing."""
    for text in _folded(found):
        tell("notice", text)


def message(found: Sequence[codes.Problem]) -> str:
    """Write the message of a task that fails and has shown nothing before."""
    return "\n".join(lines(found))


def refusal(found: Sequence[codes.Problem]) -> AnsibleActionFail:
    """Return the error of a task that contacted no node; a traceback would add nothing."""
    error = AnsibleActionFail(message(found))
    error.result.pop("exception", None)
    return error


def summary(found: Sequence[codes.Problem]) -> str:
    """Write the message of a task that fails after ``problems`` has shown causes and remedies: codes and hosts."""
    order = dict.fromkeys(entry["code"] for entry in found)
    hosts = {code: problem_lines.hosts([entry for entry in found if entry["code"] == code]) for code in order}
    return ", ".join("%s: %s" % pair if pair[1] else pair[0] for pair in hosts.items()) + "; see the causes above"


def refuse(found: Sequence[codes.Problem]) -> None:
    """Fail with what was found, if anything was."""
    if found:
        raise refusal(found)


def probing(hosts: Sequence[str]) -> None:
    """Begin a line for each node that is probed, where a callback draws them."""
    send({"event": events.NODES, "nodes": [{"host": host} for host in hosts]})


def planned(plan: Plan, warnings: Sequence[codes.Problem]) -> None:
    """Show a plan in a few words, and notices."""
    notices(warnings)
    shown = [{key: node[key] for key in ("host", "nproc_per_node")} for node in plan["nodes"]]
    send({"event": events.NODES, "nodes": shown})
    tell(*story.planned(plan))


def difference(plan: Plan) -> dict[str, str]:
    """Show a start as what is there afterwards and was not before."""
    after = [*plan_text.ranks(plan), *("%s: %s" % (node["host"], plan_text.argv(node)) for node in plan["nodes"])]
    headers = {"before_header": "nothing", "after_header": "run %s" % plan["run_id"]}
    return {**headers, "before": "", "after": "".join(plain_text.plain(line) + "\n" for line in after)}


class Screen:
    """Shows the events of one run."""

    def __init__(self, attached: bool = False, chosen: Chosen = EVERYTHING) -> None:
        """
        Prepare.

        Args:
            attached: Whether the run began before: then nothing is told of its start.
            chosen: Whose output is shown.
        """
        self._chosen = chosen
        # The hosts and ranks that have printed.
        self.printed: set[tuple[str, str]] = set()
        self._mask = masking.Mask()
        self._story = story.Story((), self._mask, attached)

    def begin(self, plan: Plan, secrets: Sequence[str] = ()) -> None:
        """
        Take the plan of the run.

        Args:
            secrets: What no line may show.
        """
        self._mask = masking.Mask(secrets)
        self._story = story.Story((), self._mask, self._story.is_attached)
        self._story.begin(plan)

    def on_event(self, event: dict[str, Any], payload: bytes) -> None:
        """Show one event."""
        kind = event["event"]
        if job_lines.is_forged(event):
            return
        if not self._story.is_attached and kind not in (events.LOG, events.PLANNED):
            send({**event, "event": events.on_node(kind)})
        if kind == events.TIMED:
            say(timing_table.lines(event))
            return
        if kind == events.RESTART:
            self._chosen = self._chosen.after(event.get("replaced") or {})
        if kind != events.PROBED:  # The action tells how many answered.
            self._show(self._story.take(event, payload))

    def flush(self) -> None:
        """Show what no newline has ended."""
        self._show(self._story.end())

    def _show(self, shown: Iterable[story.Sentence | story.Output]) -> None:
        for one in shown:
            if isinstance(one, story.Sentence):
                say([self._mask.text(str(one))])
                continue
            self.printed.add((one.host, one.rank))
            if not one.is_hidden and self._chosen.shows(one.host, one.rank):
                label = "%s:%s" % (one.host, one.rank) if one.rank else one.host
                say(("%s | %s" % (label, text) for text in one.texts), is_job=True)

    def done(self, result: dict[str, Any], shown: Sequence[codes.Problem] | None = None) -> None:
        """
        Show how the run ended.

        Args:
            shown: Its problems to show; all where it is None.
        """
        if result["detached"]:
            tell("run", "%s is still running" % result["run_id"])
            return
        found = result.get("problems") or []
        problems(self._mask.data(list(found if shown is None else shown)))
        how = run_summary.outcome([entry["code"] for entry in found])
        say(map(self._mask.text, run_summary.ending(how, self._story, result["summary"])))

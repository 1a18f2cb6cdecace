# SPDX-License-Identifier: GPL-3.0-or-later
"""
What a playbook shows besides Ansible's own lines: the story in madctl's words, and the job's lines.

If the callback ``madctl.multinode.live`` listens, it gets all of that, and also the events of each node; otherwise
lines go to Ansible's display.
"""

from __future__ import annotations

import os
import socket
import threading
import time
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
    sentences,
    story,
    timing_table,
    waiting,
)
from ansible_collections.madctl.multinode.plugins.module_utils._show import summary as run_summary
from ansible_collections.madctl.multinode.plugins.module_utils._show.chosen import EVERYTHING, Chosen

LIVE_SOCKET = "MADCTL_LIVE_SOCKET"
_LOGS = "ansible-playbook madctl.multinode.logs -e madctl_run_id=%s"
_DRAW_SECONDS = 0.1
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
    """Show each text as one line, whatever it contains; ``is_job`` means that they are the job's own."""
    waiting = [plain_text.plain(line, job_lines.KEPT if is_job else "") for line in lines]
    while waiting:
        # A message has a size limit, and a job may print much at once.
        text = "\n".join(waiting[:_LINES_AT_ONCE])
        for piece in (text[at : at + _CHARACTERS_AT_ONCE] for at in range(0, len(text), _CHARACTERS_AT_ONCE)):
            if not send({"event": events.TEXT, "text": piece, "job": is_job}):
                Display().display(piece)
        del waiting[:_LINES_AT_ONCE]


def tell(stage: str, text: str) -> None:
    """Show a line of the story."""
    say([sentences.Sentence(stage, text)])


def lines(found: Sequence[codes.Problem]) -> list[str]:
    """Format problems as madctl does, with remedies in the words of playbooks."""
    return ["madctl: " + line for line in _folded(found)]


def _folded(found: Sequence[codes.Problem]) -> list[str]:
    words = playbook_variables.in_words_of_playbooks
    return problem_lines.lines([{**entry, "remedy": words(entry["remedy"] or "")} for entry in found])


def problems(found: Sequence[codes.Problem]) -> None:
    """Show problems, one line for all hosts with the same problem."""
    say(lines(found))


def notices(found: Sequence[codes.Problem]) -> None:
    """Show problems that do not stop anything."""
    for text in _folded(found):
        tell("notice", text)


def message(found: Sequence[codes.Problem]) -> str:
    """Format the message of a task that fails and has shown nothing before."""
    return "\n".join(lines(found))


def refusal(found: Sequence[codes.Problem]) -> AnsibleActionFail:
    """Return the error of a task that contacted no node; a traceback would add nothing."""
    error = AnsibleActionFail(message(found))
    error.result.pop("exception", None)
    return error


def summary(found: Sequence[codes.Problem], host: str) -> str:
    """Format the message of a task that fails on a host after ``problems`` has shown causes and remedies."""
    own = [entry["code"] for entry in found if entry["host"] in (host, None)] or [entry["code"] for entry in found]
    return ", ".join(dict.fromkeys(own)) + ": see above"


def refuse(found: Sequence[codes.Problem]) -> None:
    """Fail with the problems, if there are any."""
    if found:
        raise refusal(found)


def probing(hosts: Sequence[str]) -> None:
    """Begin a line for each node that is probed, if a callback draws them."""
    send({"event": events.NODES, "nodes": [{"host": host} for host in hosts]})


def planned(plan: Plan, warnings: Sequence[codes.Problem]) -> None:
    """Show a plan in a few words, and notices."""
    notices(warnings)
    shown = [{key: node[key] for key in ("host", "nproc_per_node")} for node in plan["nodes"]]
    send({"event": events.NODES, "nodes": shown})
    tell(*sentences.planned(plan))


def difference(plan: Plan) -> dict[str, str]:
    """Show a start as what exists after it and did not before."""
    after = [*plan_text.ranks(plan), *("%s: %s" % (node["host"], plan_text.argv(node)) for node in plan["nodes"])]
    headers = {"before_header": "nothing", "after_header": "run %s" % plan["run_id"]}
    return {**headers, "before": "", "after": "".join(plain_text.plain(line) + "\n" for line in after)}


def _labelled(source: story.Source, text: str) -> str:
    return plain_text.plain("%s | %s" % (":".join(filter(None, source)), text), job_lines.KEPT)


class Screen:
    """Shows the events of one run."""

    def __init__(self, attached: bool = False, chosen: Chosen = EVERYTHING) -> None:
        """
        Prepare.

        Args:
            attached: Whether the run began earlier: then its start is not reported.
            chosen: Whose output to show.
        """
        self._chosen = chosen
        # The hosts and ranks that have printed.
        self.printed: set[tuple[str, str]] = set()
        self._mask = masking.Mask()
        self._story = story.Story((), self._mask, attached, wants_ranks=bool(chosen.ranks))
        self._waiting, self._snapshots = waiting.Waiting(), waiting.Snapshots()
        self._due: float | None = None
        self._written = 0.0
        self._below: list[str] = []

    def begin(self, plan: Plan, secrets: Sequence[str] = ()) -> None:
        """
        Take the plan of the run.

        Args:
            secrets: Values that no line may show.
        """
        self._mask = masking.Mask(secrets)
        self._story = story.Story((), self._mask, self._story.is_attached, wants_ranks=bool(self._chosen.ranks))
        self._story.begin(plan)
        self._waiting.begin(plan)

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
        if kind != events.PROBED:  # The action reports how many answered.
            self._waiting.take(event, time.monotonic())
            self._show(self._story.take(event, payload))
            self._beat_in(_DRAW_SECONDS)

    def logs_of(self, run_id: str) -> str:
        """Build the command that shows the output of a run."""
        return _LOGS % run_id

    def flush(self) -> None:
        """Show incomplete lines."""
        self._show(self._story.end())
        self._draw([], "")

    def beat(self) -> float | None:
        """Show what is due even without events; return after how many seconds to call it again, if at all."""
        now = time.monotonic()
        if self._due is not None and now >= self._due:
            self._due = None
            self._show(self._story.settle())
            rows = list(self._story.unfinished(self._is_live))
            if not self._story.is_settled:
                self._beat_in(_DRAW_SECONDS)
            if os.environ.get(LIVE_SOCKET):
                self._draw(rows, self._waiting.line(now, self._written))
                if self._waiting.text(0):
                    self._beat_in(1.0)
            elif rows:
                self._snapshots.heard(now)
                if now >= (self._snapshots.due or now):
                    self._lines(self._snapshots.take(rows))
                else:
                    self._beat_in(waiting.SNAPSHOT_SECONDS)
        return None if self._due is None else max(0.0, self._due - now)

    def _is_live(self, source: story.Source) -> bool:
        return self._chosen.shows(*source) and (bool(self._chosen) or self._story.leads(source))

    def _beat_in(self, seconds: float) -> None:
        due = time.monotonic() + seconds
        self._due = due if self._due is None else min(due, self._due)

    def _draw(self, rows: Sequence[tuple[story.Source, str]], clock: str) -> None:
        """Make the callback draw unfinished lines, and what the run waits for."""
        below = [_labelled(*row) for row in rows] + [plain_text.plain(clock)] * bool(clock)
        if below != self._below:
            self._below = below
            send({"event": events.BELOW, "lines": below, "job": bool(rows)})

    def _lines(self, found: Iterable[tuple[story.Source, str]]) -> None:
        say((_labelled(*line) for line in found), is_job=True)

    def _show(self, shown: Iterable[sentences.Sentence | story.Output]) -> None:
        for one in shown:
            self._written = time.monotonic()
            if isinstance(one, sentences.Sentence):
                say([self._mask.text(str(one))])
                continue
            self.printed.add((one.host, one.rank))
            if not one.is_hidden and self._chosen.shows(one.host, one.rank):
                if self._below:
                    self._draw(list(self._story.unfinished(self._is_live)), "")  # Otherwise it would be shown twice.
                self._lines(((one.host, one.rank), text) for text in one.texts)

    def done(self, result: dict[str, Any], shown: Sequence[codes.Problem] | None = None) -> None:
        """
        Show how the run ended.

        Args:
            shown: Its problems to show; None for all.
        """
        if result["detached"]:
            tell("run", "%s is still running" % result["run_id"])
            return
        found = result.get("problems") or []
        problems(self._mask.data(list(found if shown is None else shown)))
        how = run_summary.outcome([entry["code"] for entry in found])
        found_out = {**result["summary"], "attempts": len(result.get("restarts") or []) + 1}
        logs = "" if self._story.is_attached else self.logs_of(result["run_id"])
        say(map(self._mask.text, run_summary.ending(how, self._story, found_out, logs)))

# SPDX-License-Identifier: Apache-2.0
"""The screen of ``madctl logs``: lines as a launch shows them, or with times, in their order, or as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common import events, runners
from ansible_collections.madctl.multinode.plugins.module_utils._show.chosen import Chosen, silent
from ansible_collections.madctl.multinode.plugins.module_utils._show.job_lines import Logs
from ansible_collections.madctl.multinode.plugins.module_utils._show.masking import Mask, without_credentials
from ansible_collections.madctl.multinode.plugins.module_utils._show.runner_end import RunnerEnd
from ansible_collections.madctl.multinode.plugins.module_utils._show.sentences import Sentence
from madctl.screen.lines import label
from madctl.screen.merging import LogLine, Merger
from madctl.screen.terminal import tell
from madctl.screen.view import View

STREAMS = {"out": "stdout", "err": "stderr"}


@dataclass(frozen=True)
class Form:
    """
    How lines are written: with their times, sorted by time, only the last ones, as JSON.

    Attributes:
        taker: Receives the lines in place of the screen.
    """

    with_times: bool = False
    is_merged: bool = False
    last: int | None = None
    as_json: bool = False
    taker: Callable[[LogLine], None] | None = None

    @property
    def needs_times(self) -> bool:
        """Whether the times of lines are needed."""
        return self.with_times or self.is_merged or self.as_json or self.taker is not None


class LogView(View):
    """Shows the output of a run, and reports chosen nodes or ranks without output."""

    def __init__(self, names: Sequence[str], plan: Any, form: Form, chosen: Chosen) -> None:
        """
        Prepare.

        Args:
            names: All nodes of the run.
            plan: The plan of the run, with the nodes that are read.
        """
        super().__init__(names, as_json=False, stages=(), quiet=True, chosen=chosen)
        self._form, self._chosen = form, chosen
        self._logs = Logs(Mask())
        self._runner = runners.job_of(plan["shape"], plan.get("runner"))
        self._end = RunnerEnd()
        self._times: dict[tuple[str, str], float] = {}
        self._merger = Merger() if form.is_merged else None
        self._printed: set[tuple[str, str]] = set()
        self._begin(names, plan)

    def _begin(self, names: Sequence[str], plan: Any) -> None:
        hosts = [node["host"] for node in plan["nodes"]]
        self._plan, self._awaited, self._unended = plan, set(hosts), set(hosts)
        self._width = max(map(len, names), default=0) + (5 if len(names) > 1 else 0)

    def planned(self, plan: dict[str, Any] | None, without_ifconfig: Sequence[str]) -> None:
        """Take the plan of a run that had none yet when reading began."""
        if plan and not self._plan["nodes"]:
            super().planned(plan, without_ifconfig)
            self._begin([node["host"] for node in plan["nodes"]], plan)

    def on_event(self, event: dict[str, Any], payload: bytes) -> None:
        """Show one event."""
        kind, host = event["event"], event.get("host", "")
        with self._lock:
            if kind == events.LOG:
                self._printed.add((host, _rank(event["log"])))
            if kind == events.EXIT:
                self._unended.discard(host)
            if self._form.needs_times:
                self._take(kind, event, payload)
            else:
                super().on_event(event, payload)
            if kind in (events.SO_FAR, events.EXIT, events.LOST) and self._awaited:
                self._awaited.discard(host)
                if not self._awaited:
                    self.show_merged()

    def close(self) -> None:
        """Show all waiting lines."""
        with self._lock:
            for host, log, text in self._logs.end():
                self._show_lines(host, log, [text])
            self.show_merged()
            self._job.show_all(self._story.end())
            super().close()

    def tell_silent(self, when: str) -> None:
        """
        Report whose output was requested but is empty.

        Args:
            when: The requested time, in words; empty for all.
        """
        who_has = silent(self._chosen, self._plan, self._printed)
        if who_has:
            yet = " yet" if (self._unended or not self._plan["nodes"]) and not when else ""
            tell(Sentence("notice", f"{who_has} printed nothing{yet}{when}"))

    def _take(self, kind: str, event: dict[str, Any], payload: bytes) -> None:
        if kind == events.LOG:
            host, log = event["host"], event["log"]
            # If a clock was set back, keep the order of lines.
            self._times[host, log] = max(self._times.get((host, log), 0.0), event.get("time", 0.0))
            self._show_lines(host, log, self._logs.feed(host, log, payload))
        elif kind == events.SKIPPED:
            host, log = event["host"], event["log"]
            self._show_lines(host, log, self._logs.gap(host, log, event["size"]))
        elif kind in (events.EXIT, events.LOST):
            for host, log, text in self._logs.end(event["host"]):
                self._show_lines(host, log, [text])

    def _show_lines(self, host: str, log: str, texts: Iterable[str]) -> None:
        rank = _rank(log)
        if not self._chosen.shows(host, rank):
            return
        if self._runner.has_models and rank and not self._chosen.ranks:
            return  # madengine prints these lines as well.
        stream = log.rpartition(".")[2]
        if self._runner.hides_stop and not rank:
            texts = self._end.without(host, list(texts))
        for text in texts:
            shown = without_credentials(text) if self._runner.has_models else text
            line = LogLine(self._times.get((host, log), 0.0), host, rank, STREAMS.get(stream, stream), shown)
            if self._merger:
                self._merger.add(line)
            else:
                self.put(line)

    def show_merged(self) -> None:
        """Show waiting lines sorted by time; later lines are shown as they arrive."""
        with self._lock:
            merger, self._merger = self._merger, None
            for line in merger.merged(self._form.last) if merger else ():
                if self.reader_gone:
                    return
                self.put(line)

    def put(self, line: LogLine) -> None:
        """Show one line."""
        if self._form.taker:
            self._form.taker(line)
            return
        at = datetime.fromtimestamp(line.at).astimezone() if line.at else None
        if self._form.as_json:
            rank = int(line.rank) if line.rank.isdigit() else None
            time = at.isoformat(timespec="seconds") if at else None
            entry = {"time": time, "host": line.host, "rank": rank, "stream": line.stream, "text": line.text}
            self._output.write(json.dumps(entry) + "\n")
            return
        source = f"{label((line.host, line.rank)):<{self._width}}"
        if self._form.with_times:
            source = f"{at.replace(tzinfo=None).isoformat(timespec='seconds') if at else '-':<19} {source}"
        self._output.job(source, [line.text])


def _rank(log: str) -> str:
    name = log.partition(".")[0]
    return name.removeprefix("rank-") if name.startswith("rank-") else ""

# SPDX-License-Identifier: Apache-2.0
"""
The screen of a launch: the story on stderr, the job's own lines on stdout.

Without a terminal, lines are plain. The job's control characters are made harmless; files on the nodes keep them.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, events, wire
from ansible_collections.madctl.multinode.plugins.module_utils._show import sentences, stage_table, summary
from ansible_collections.madctl.multinode.plugins.module_utils._show.chosen import EVERYTHING, Chosen
from ansible_collections.madctl.multinode.plugins.module_utils._show.columns import GREEN, RED
from ansible_collections.madctl.multinode.plugins.module_utils._show.job_lines import KEPT
from ansible_collections.madctl.multinode.plugins.module_utils._show.masking import Mask
from ansible_collections.madctl.multinode.plugins.module_utils._show.story import Output, Source, Story
from ansible_collections.madctl.multinode.plugins.module_utils._show.timing_table import lines as timing_lines
from ansible_collections.madctl.multinode.plugins.module_utils._show.waiting import SNAPSHOT_SECONDS, Snapshots
from madctl.errors import Problem
from madctl.screen.below import Below
from madctl.screen.job_output import LAST_LINES, LONGEST, JobOutput
from madctl.screen.lines import DRAW_SECONDS, Line, Ticker, Window, excerpt
from madctl.screen.problems import folded, print_problems
from madctl.screen.terminal import streams

_PATIENCE = 0.5
_COLOURS = {summary.SUCCEEDED: GREEN, **dict.fromkeys(("failed", "timed out"), RED)}
_VERDICTS = {str(sentences.Sentence("done", how)): colour for how, colour in _COLOURS.items()}
# While lines of a job follow each other this fast, the part below them is not redrawn.
_FLOOD_SECONDS = 0.02


class View:
    """Shows what happens, without secrets; events, tasks, signals and the ticker call it from their own threads."""

    def __init__(
        self,
        names: Sequence[str],
        as_json: bool,
        stages: Sequence[str] = stage_table.STAGES,
        quiet: bool = False,
        chosen: Chosen = EVERYTHING,
        secrets: Sequence[str] | Mask = (),
        told: Collection[str] = (),
    ) -> None:
        """
        Prepare.

        Args:
            stages: The columns of the table that is drawn on a terminal; if empty, there is no table.
            quiet: Whether to hide the story.
            chosen: Whose output to show.
            told: Codes of notices that were shown before, and now appear only in the result.
        """
        self.errors: list[Problem] = []
        self.warnings: list[Problem] = []
        self._noticed: list[Problem] = []
        self._told = told
        self._quiet = quiet
        out, self._err = streams()
        self._output = self._err if as_json else out
        self._mask = secrets if isinstance(secrets, Mask) else Mask(secrets)
        self._story = Story(names, self._mask, False, not as_json and out.takes_colours(), bool(chosen.ranks), True)
        self._lock = threading.RLock()
        self._folds = self._output.is_terminal()
        self._ticker = Ticker(Window(), self._show, self._lock, self._beat)
        if self._folds:
            atexit.register(self.close)  # However a command ends, all lines are shown.
        self._job = JobOutput(self._output, self._ticker if self._folds else None, names, chosen)
        self._snapshots = Snapshots()
        table = None
        if stages and not as_json and out.is_terminal() and self._err.can_draw():
            table = stage_table.Table(stages)
            table.begin([{"host": name} for name in names])
        self._below = Below(self._output, table, has_clock=not quiet)
        self._drawn = 0.0
        self._draw()
        self._is_leaving = False

    @property
    def reader_gone(self) -> bool:
        """Whether the reader of the output is gone."""
        return self._output.reader_gone

    def masked(self, data: Any) -> Any:
        """Return data, a problem, a result or a list of these, without secrets."""
        return self._mask.data(data)

    # -- the start of a run -----------------------------------------------------------------------

    def judged(self, warnings: Sequence[Problem]) -> None:
        """Keep the warnings of a judgement for the result, beside the notices that were already shown."""
        with self._lock:
            self.warnings = [*self._noticed, *(one for one in warnings if one not in self._noticed)]

    def planned(self, plan: dict[str, Any] | None, without_ifconfig: Sequence[str]) -> None:
        """Show the plan, or that it has to wait for net-tools; nothing if the launch was refused."""
        with self._lock:
            if without_ifconfig:
                self._tell(sentences.installing(without_ifconfig))
            if plan is None:
                return
            fresh = [one for one in self.warnings if one not in self._noticed and one.code not in self._told]
            for warning in folded(self.masked(fresh)):
                self._tell(sentences.Sentence("notice", warning))
            self._story.begin(plan)
            self._job.align(self._story.hosts)
            self._below.begin(plan)
            self._tell(sentences.planned(plan))

    def called(self, run_id: str, name: str | None) -> None:
        """Show the ID and the name of the run."""
        with self._lock:
            self._tell(sentences.called(run_id, name))

    def attached(self, plan: dict[str, Any]) -> None:
        """Show that an earlier run is followed."""
        with self._lock:
            self._story.begin(plan)
            self._below.begin(plan)
            self._story.is_attached = True
            self._tell(sentences.attached(plan))

    # -- events -----------------------------------------------------------------------------------

    def on_event(self, event: dict[str, Any], payload: bytes) -> None:
        """Show one event."""
        with self._lock:
            kind = event["event"]
            if kind == events.TIMED:
                self.close()
                self._err.lines(timing_lines(event))
                return
            self._below.take(event)
            for shown in self._story.take(event, payload, in_blocks=not self._folds):
                if isinstance(shown, Output):
                    self._job.show(shown)
                elif self._folds and kind in sentences.LINKS:
                    self._ticker.add((event["host"], ""), "", kind)  # Others may follow at the same time.
                else:
                    self._tell(shown)
            if kind == events.RESTART:
                self._job.forget(event.get("replaced") or {})
            self._draw_soon()

    def notice(self, problem: Problem) -> None:
        """Show a problem that stops nothing, and keep it for the result."""
        with self._lock:
            self.warnings = [*self.warnings, problem]
            self._noticed.append(problem)
            self._tell(sentences.Sentence("notice", str(self.masked(problem))))

    def progress(self, stage: str, text: str) -> None:
        """Show the progress of a run that has no nodes yet."""
        with self._lock:
            self._tell(sentences.Sentence(stage, text))

    # -- signals, and the end ---------------------------------------------------------------------

    def interrupted(self, order: bytes) -> None:
        """Show the effect of a Ctrl-C, or of a closed terminal."""
        self._is_leaving = self._is_leaving or order == wire.DETACH
        self._story.is_interrupted = True
        self._at_once(sentences.interrupted(order, self._story.is_running))

    def still_running(self, run_id: str, is_forgotten: bool = False, waiting: str = "") -> None:
        """Show how to return to a run that continues, or waits in a queue, even if it has no record."""
        hosts = self._story.hosts if is_forgotten else ()
        found = sentences.queued(run_id, waiting) if waiting else sentences.still_running(run_id, hosts)
        self._at_once(*found, ends=True)

    def _at_once(self, *told: sentences.Sentence, ends: bool = False) -> None:
        # Another thread may hold the lock while it waits for a blocked terminal; that must not delay leaving.
        if not self._lock.acquire(timeout=_PATIENCE):
            self._err.lines(() if self._quiet else told)
            return
        try:
            self._ticker.flush()
            self._below.erase(also_echo=True)
            if ends:
                self._end_logs()
            for sentence in told:
                self._tell(sentence)
        finally:
            self._lock.release()

    def finish(self, status: str, data: dict[str, Any] | None, ran: bool, error_text: str = "", logs: str = "") -> None:
        """
        Write the summary: the first failure with its last lines, or success.

        Args:
            status: How the run ended, in one word.
            data: The facts about the run.
            ran: Whether anything was started.
            error_text: The contents of the error file of the rank that failed first.
            logs: The command that shows the output of that rank.
        """
        # As in ``_at_once``, but only a command that detaches may leave without a summary.
        if not self._lock.acquire(timeout=_PATIENCE if self._is_leaving else -1):
            return
        try:
            self._end_logs()
            if self.errors and ran:
                self._last_words(self.errors[0], error_text)
            print_problems(self.masked(self.errors), [], logs=logs, stream=self._err)
            if ran and data is not None:
                found = [problem.code for problem in self.errors]
                how = summary.outcome(found) if found and status != summary.SUCCEEDED else status
                self._write(*summary.ending(how, self._story, data, logs), colours=_VERDICTS)
        finally:
            self._lock.release()

    def _last_words(self, problem: Problem, error_text: str) -> None:
        if problem.host is None:
            return
        # Multi-line secrets are found only before the text is split into lines.
        error = excerpt(self._mask.text(error_text), LAST_LINES, LONGEST)
        lines = summary.block("error", problem.host, problem.rank, error) if error else []
        last = self._job.last_lines(problem.host, problem.rank) if problem.code in codes.WITH_LAST_LINES else ()
        lines += [*summary.block("last lines", problem.host, problem.rank, last), ""] if last else []
        self._err.lines(lines, KEPT)

    def results(self, lines: Sequence[str], path: str) -> None:
        """Show the results of models, and the path of the file with them."""
        with self._lock:
            self._err.lines(["", *self._mask.data(list(lines)), ""])
            if path:
                self._tell(sentences.Sentence("results", path))

    def _end_logs(self) -> None:
        self._job.show_all(self._story.end())
        self.close()

    def close(self) -> None:
        """Show all waiting lines, and erase the part below them."""
        with self._lock:
            self._ticker.flush()
            self._below.end()

    # -- lines and what is below them -------------------------------------------------------------

    def _tell(self, sentence: sentences.Sentence) -> None:
        """Write a line of the story, after all earlier lines of the job."""
        self._ticker.flush()
        self._write(str(sentence))

    def _write(self, *lines: str, colours: Mapping[str, str] = MappingProxyType({})) -> None:
        if not self._quiet:
            self._below.erase()
            self._err.lines(map(self._mask.text, lines), colours=colours)
            self._draw()

    def _show(self, line: Line) -> None:
        if line.kind in sentences.LINKS:
            self._write(str(sentences.about_links(line.kind, line.hosts)))
            return
        self._below.leave_table()
        self._below.erase()
        self._job.write(line)
        before, self._drawn = self._drawn, time.monotonic()
        if self._drawn > before + _FLOOD_SECONDS:
            self._draw()
        else:
            self._ticker.redraw()

    def _draw_soon(self) -> None:
        if not self._below.can_draw:
            self._snapshots.heard(time.monotonic())
        self._ticker.redraw(DRAW_SECONDS if self._below.can_draw or not self._story.is_settled else SNAPSHOT_SECONDS)

    def _beat(self) -> None:
        """Do what is due without any event, and schedule the next time."""
        self._job.show_all(self._story.settle())
        if not self._story.is_settled:
            self._ticker.redraw()
        now = time.monotonic()
        if self._below.can_draw:
            self._draw()
            if self._below.is_clocked:
                self._ticker.redraw(1.0)
        elif self._snapshots.due is not None and now < self._snapshots.due:
            self._ticker.redraw(self._snapshots.due - now)
        elif self._snapshots.due is not None:
            for source, text in self._snapshots.take(self._story.unfinished(self._is_live)):
                self._job.add(source, [text])

    def _draw(self) -> None:
        rows = self._story.unfinished(self._is_live) if self._below.can_draw else ()
        self._below.draw(self._job.labelled(source, text) for source, text in rows)

    def _is_live(self, source: Source) -> bool:
        """Return whether unfinished lines of a source are shown: those of one rank, unless the user chose others."""
        return self._job.is_shown(source) and (self._job.is_chosen or self._story.leads(source))

# SPDX-License-Identifier: Apache-2.0
"""
What a launch looks like on the screen: the story on stderr, the job's own lines on stdout.

Lines are plain without a terminal. Control characters in the job's output are made harmless; the files on the nodes
keep them.
"""

from __future__ import annotations

import atexit
import shutil
import threading
from collections.abc import Sequence
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, events, wire
from ansible_collections.madctl.multinode.plugins.module_utils._show import stage_table, story, summary, timing_table
from ansible_collections.madctl.multinode.plugins.module_utils._show.job_lines import KEPT
from ansible_collections.madctl.multinode.plugins.module_utils._show.masking import Mask
from ansible_collections.madctl.multinode.plugins.module_utils._show.names import fold
from ansible_collections.madctl.multinode.plugins.module_utils._show.redrawn import Redrawn
from madctl.errors import Problem
from madctl.screen.job_output import LAST_LINES, LONGEST, JobOutput
from madctl.screen.lines import Line, Ticker, Window, excerpt
from madctl.screen.problems import folded, print_problems
from madctl.screen.terminal import ERR, OUT, tell

_PATIENCE = 0.5


class View:
    """Shows what happens, without secrets; events, tasks, signals and the ticker call it from their own threads."""

    def __init__(
        self,
        names: Sequence[str],
        as_json: bool,
        stages: Sequence[str] = stage_table.STAGES,
        quiet: bool = False,
        rank: int | None = None,
        secrets: Sequence[str] = (),
    ) -> None:
        """
        Prepare.

        Args:
            stages: The columns of the table that is drawn on a terminal; no table without any.
            quiet: Whether to show nothing of the story.
            rank: The only rank whose output to show.
        """
        self.errors: list[Problem] = []
        self.warnings: list[Problem] = []
        self._noticed: list[Problem] = []
        self._quiet = quiet
        self._output = ERR if as_json else OUT
        self._mask = Mask(secrets)
        self._story = story.Story(names, self._mask)
        self._lock = threading.RLock()
        self._ticker: Ticker | None = None
        if self._output.is_terminal():
            self._ticker = Ticker(Window(), self._show, self._lock, self._draw)
            # However a command ends, no line is left behind.
            atexit.register(self.close)
        self._job = JobOutput(self._output, self._ticker, names, rank)
        self._table: stage_table.Table | None = None
        self._drawing = Redrawn(ERR.write)
        if stages and not as_json and OUT.is_terminal() and ERR.can_draw():
            self._table = stage_table.Table(stages)
            self._table.begin([{"host": name} for name in names])
            self._draw()
        self._is_leaving = False

    @property
    def reader_gone(self) -> bool:
        """Whether the reader of the lines has gone."""
        return self._output.reader_gone

    def masked(self, data: Any) -> Any:
        """Return data, a problem, a result or a list of them, without the secrets in it."""
        return self._mask.data(data)

    # -- the start of a run -----------------------------------------------------------------------

    def planned(self, plan: dict[str, Any] | None, without_ifconfig: Sequence[str]) -> None:
        """Show the plan, or that it has to wait for net-tools; nothing where it was refused."""
        with self._lock:
            if without_ifconfig:
                self._tell(story.installing(without_ifconfig))
            if plan is None:
                return
            for warning in folded(self.masked([one for one in self.warnings if one not in self._noticed])):
                self._tell(story.Sentence("notice", warning))
            if not self._story.hosts:
                self._job.align([node["host"] for node in plan["nodes"]])
            self._story.begin(plan)
            if self._table:
                self._table.begin(plan["nodes"])
            self._tell(story.planned(plan))

    def attached(self, plan: dict[str, Any]) -> None:
        """Show that a run which began before is followed."""
        with self._lock:
            self._story.begin(plan)
            self._story.is_attached = True
            self._tell(story.attached(plan))

    # -- events -----------------------------------------------------------------------------------

    def on_event(self, event: dict[str, Any], payload: bytes) -> None:
        """Show one event."""
        with self._lock:
            kind = event["event"]
            if kind == events.TIMED:
                self.close()
                tell(*timing_table.lines(event))
                return
            if self._table and self._table.take(event) and self._ticker:
                self._ticker.redraw()
            for shown in self._story.take(event, payload, in_blocks=self._ticker is None):
                if isinstance(shown, story.Output):
                    self._job.show(shown)
                elif self._ticker and kind in story.LINKS:
                    # Other hosts may fall silent, or be back, at the same time.
                    self._ticker.add((event["host"], ""), "", kind)
                else:
                    self._tell(shown)
            if kind == events.RESTART:
                self._job.forget()

    def notice(self, problem: Problem) -> None:
        """Show a problem that stops nothing, and keep it for the result."""
        with self._lock:
            self.warnings = [*self.warnings, problem]
            self._noticed.append(problem)
            self._tell(story.Sentence("notice", str(self.masked(problem))))

    def progress(self, stage: str, text: str) -> None:
        """Show how far a run is before it has nodes."""
        with self._lock:
            self._tell(story.Sentence(stage, text))

    # -- signals ----------------------------------------------------------------------------------

    def interrupted(self, order: bytes) -> None:
        """Show what follows from a Ctrl-C, or from the end of the terminal."""
        self._is_leaving = self._is_leaving or order == wire.DETACH
        self._at_once(story.interrupted(order, self._story.is_running))

    def still_running(self, run_id: str, is_forgotten: bool = False) -> None:
        """Show how to come back to a run that continues, also where this machine has no record of it."""
        back = f"re-attach with madctl attach {run_id} or stop it with madctl stop {run_id}"
        first = f"run madctl ps --hosts {fold(self._story.hosts)} first, then " if is_forgotten else ""
        self._at_once(story.Sentence("run", f"{run_id} is still running; {first}{back}"), ends=True)

    def _at_once(self, sentence: story.Sentence, ends: bool = False) -> None:
        # Another thread may hold the lock and wait for a screen that takes nothing; that must not delay leaving.
        if not self._lock.acquire(timeout=_PATIENCE):
            if not self._quiet:
                tell(sentence)
            return
        try:
            if ends:
                self._end_logs()
            self._tell(sentence)
        finally:
            self._lock.release()

    # -- the end ----------------------------------------------------------------------------------

    def finish(self, status: str, data: dict[str, Any] | None, ran: bool, error_text: str = "") -> None:
        """
        Write the summary: what failed first and its last words, or that all went well.

        Args:
            status: How it ended, in a word.
            data: What is known of the run.
            ran: Whether anything was started.
            error_text: What the rank that failed first wrote into its error file.
        """
        # As in ``_at_once``, but only a command that detaches may leave without a summary.
        if not self._lock.acquire(timeout=_PATIENCE if self._is_leaving else -1):
            return
        try:
            self._end_logs()
            if self.errors and ran:
                self._last_words(self.errors[0], error_text)
            print_problems(self.masked(self.errors), [])
            if ran and data is not None:
                found = [problem.code for problem in self.errors]
                how = summary.outcome(found) if found and status != summary.SUCCEEDED else status
                self._write(*summary.ending(how, self._story, data))
        finally:
            self._lock.release()

    def _last_words(self, problem: Problem, error_text: str) -> None:
        if problem.host is None:
            return
        # Secrets of several lines are found only before the text is cut into lines.
        error = excerpt(self._mask.text(error_text), LAST_LINES, LONGEST)
        lines = summary.block("error", problem.host, problem.rank, error) if error else []
        last = self._job.last_lines(problem.host, problem.rank) if problem.code in codes.WITH_LAST_LINES else ()
        lines += [*summary.block("last lines", problem.host, problem.rank, last), ""] if last else []
        ERR.lines(lines, KEPT)

    def results(self, lines: Sequence[str], path: str) -> None:
        """Show the results of models, and the file that has them."""
        with self._lock:
            tell("", *self._mask.data(list(lines)), "")
            if path:
                self._tell(story.Sentence("results", path))

    def _end_logs(self) -> None:
        for output in self._story.end():
            self._job.show(output)
        self.close()

    def close(self) -> None:
        """Show all lines that wait, and take the table away."""
        with self._lock:
            self._show_all()
            self._leave_table()

    # -- lines and the table below them -----------------------------------------------------------

    def _tell(self, sentence: story.Sentence) -> None:
        """Write a line of the story, after all lines of the job that came before it."""
        self._show_all()
        self._write(str(sentence))

    def _write(self, *lines: str) -> None:
        if not self._quiet:
            self._drawing.erase()
            tell(*map(self._mask.text, lines))
            self._draw()

    def _show_all(self) -> None:
        if self._ticker:
            self._ticker.flush()

    def _show(self, line: Line) -> None:
        if line.kind in story.LINKS:
            self._write(str(story.about_links(line.kind, line.hosts)))
        else:
            self._leave_table()
            self._job.write(line)

    def _draw(self) -> None:
        if self._table:
            self._drawing.draw(self._table.lines(shutil.get_terminal_size()))

    def _leave_table(self) -> None:
        """Take the table away for good: from here on the screen belongs to the job's lines."""
        self._table = None
        self._drawing.erase()

# SPDX-License-Identifier: Apache-2.0
"""
What a launch looks like on the screen: the story on stderr, the job's own lines on stdout.

Lines are plain without a terminal. Bytes of the job are shown with control characters made harmless;
the files on the nodes keep them as they are.
"""

from __future__ import annotations

import atexit
import functools
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Concatenate, ParamSpec

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, events, runners, wire
from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import plain
from ansible_collections.madctl.multinode.plugins.module_utils._common.run_directory import LOGS
from ansible_collections.madctl.multinode.plugins.module_utils._show import timing_table
from ansible_collections.madctl.multinode.plugins.module_utils._show.job_lines import CUT, KEPT, Logs, size
from ansible_collections.madctl.multinode.plugins.module_utils._show.masking import Mask
from madctl.errors import Problem
from madctl.screen import models
from madctl.screen.lines import Line, Ticker, Window, excerpt, fold, shortened, victims_line
from madctl.screen.plan_text import ranks
from madctl.screen.problems import folded, print_problems
from madctl.screen.stages import StageTable
from madctl.screen.terminal import ERR, OUT, tell

LAST_LINES = 20
_LAST_LENGTH = 4096  # of a last line: each rank has twenty of them in memory
_WIDEST = 32
_PATIENCE = 0.5

P = ParamSpec("P")


def _alone(method: Callable[Concatenate[View, P], None]) -> Callable[Concatenate[View, P], None]:
    """Let one thread at a time into a view: events, tasks, signals and the window's timer have their own."""

    @functools.wraps(method)
    def locked(self: View, /, *args: P.args, **kwargs: P.kwargs) -> None:
        with self._lock:
            method(self, *args, **kwargs)

    return locked


class View:
    """Collects what happens and writes each stage as it passes; any thread may call it. No secret is shown."""

    def __init__(
        self,
        names: Sequence[str],
        as_json: bool,
        single: bool,
        stages: Sequence[str] = ("probe", "arm", "go"),
        quiet: bool = False,
        rank: int | None = None,
        secrets: Sequence[str] = (),
    ) -> None:
        self.names = names
        self.as_json = as_json
        self.single = single
        self._quiet, self._rank = quiet, rank
        self.errors: list[Problem] = []
        self.warnings: list[Problem] = []
        self._noticed: list[Problem] = []
        self._output = ERR if as_json else OUT
        self._width = max(map(len, names)) + (0 if single else 5)
        self._mask = Mask(secrets)
        self._lock = threading.RLock()
        self._ticker: Ticker | None = None
        if self._output.is_terminal():
            self._ticker = Ticker(Window(), self._show, self._lock)
            self._width = max(self._width, min(_WIDEST, len(fold(names)) + 5))
            # Whatever way a command ends, no line is left behind.
            atexit.register(self.close)
        self._logs = Logs(self._mask)
        self._last: dict[tuple[str, str], deque[str]] = {}
        self._counts = {"probe": 0, "arm": 0, "run": 0, "joined": 0}
        self._planned: dict[str, Any] | None = None
        self._job = runners.UNKNOWN
        self._table = (
            StageTable(names, stages) if stages and not as_json and OUT.is_terminal() and ERR.is_terminal() else None
        )
        self._stopping = self._attached = self._is_left = False

    # -- stages -----------------------------------------------------------------------------------

    @_alone
    def stage(self, name: str, text: str) -> None:
        """Write one line of the story, behind all lines of the job that came before it."""
        self._show_all()
        self._tell(name, text)

    def _tell(self, name: str, text: str) -> None:
        line = self._mask.text(f"{name:<7} {text}")
        if self._quiet:
            return
        if self._table:
            self._table.write(line)
            return
        tell(line)

    @_alone
    def notice(self, problem: Problem) -> None:
        """Show what stands against nothing, but matters, and keep it for the result."""
        self.warnings = [*self.warnings, problem]
        self._noticed.append(problem)
        self.stage("notice", str(problem))

    def masked(self, data: Any) -> Any:
        """Give data, a problem, a result or a list of them, without the secrets in it."""
        return self._mask.data(data)

    @_alone
    def probed(self, host: str, answered: bool) -> None:
        """A node was looked at."""
        self._mark(host, "probe", answered)
        self._counts["probe"] += answered
        if self._counts["probe"] == len(self.names) and answered:
            self.stage("probe", f"{self._nodes()} answered")

    @_alone
    def planned(self, plan: dict[str, Any] | None, without_ifconfig: Sequence[str]) -> None:
        """The plan was made, refused, or has to wait for net-tools."""
        if without_ifconfig:
            self.stage("install", f"net-tools on {fold(without_ifconfig)}")
        if plan is None:
            return
        for warning in folded([problem for problem in self.warnings if problem not in self._noticed]):
            self.stage("notice", warning)
        self._planned, self._job = plan, runners.job_of(plan.get("shape", ""), plan.get("runner"))
        # Spares take no part from here on.
        self.names = [node["host"] for node in plan["nodes"]]
        counts = [node["nproc_per_node"] for node in plan["nodes"]]
        interfaces = ", ".join(sorted({node["interface"] for node in plan["nodes"]}))
        size = f"{ranks(counts)} = {plan['world_size']} ranks"
        self.stage("plan", f"{size} on {interfaces}, master {plan['master_addr']}:{plan['master_port']}")

    def _armed(self, host: str) -> None:
        self._mark(host, "arm", True)
        self._counts["arm"] += 1
        if self._counts["arm"] == len(self.names) and not self._attached:
            self.stage("arm", f"{self._nodes()} ready")

    def _mark(self, host: str, stage: str, passed: bool) -> None:
        if self._table:
            self._table.mark(host, stage, passed)

    def _nodes(self) -> str:
        return "1 node" if len(self.names) == 1 else f"{len(self.names)} nodes"

    def interrupted(self, order: bytes) -> None:
        """Somebody pressed Ctrl-C, or hung up."""
        self._is_left = self._is_left or order == wire.DETACH
        words = {
            wire.STOP: "stopping; Ctrl-C again to kill",
            wire.KILL: "killing; Ctrl-C again to let go",
            wire.DETACH: "letting go",
        }
        self._at_once("stop", words[order])

    def goes_on(self, run_id: str, is_forgotten: bool = False) -> None:
        """The run goes on without us: say how to come back to it, also where this machine could not remember it."""
        back = f"madctl attach {run_id}, madctl stop {run_id}"
        first = f"first madctl ps --hosts {fold(self.names)}, then " if is_forgotten else ""
        self._at_once("run", f"{run_id} goes on: {first}{back}", ends=True)

    def _at_once(self, name: str, text: str, ends: bool = False) -> None:
        # Another thread may hold the lock and wait for a screen that takes nothing; whoever wants to leave cannot.
        if not self._lock.acquire(timeout=_PATIENCE):
            if not self._quiet:
                tell(f"{name:<7} {text}")
            return
        try:
            if ends:
                self._flush()
                self.close()
            self.stage(name, text)
        finally:
            self._lock.release()

    @_alone
    def attached(self, plan: dict[str, Any]) -> None:
        """A run that was planned before is followed."""
        self._planned, self._job = plan, runners.job_of(plan.get("shape", ""), plan.get("runner"))
        self._attached = True
        self.stage("attach", f"{plan['run_id']}: {plan['nnodes']} nodes, {plan['world_size']} ranks")

    # -- events of the run ------------------------------------------------------------------------

    @_alone
    def on_event(self, event: dict[str, Any], payload: bytes) -> None:
        """Take in one event from the nodes."""
        kind = event["event"]
        if kind == events.LOG:
            self._log(event["host"], event["log"], payload)
        elif kind == events.READY:
            self._armed(event["host"])
        elif kind == events.STARTED:
            self._counts["run"] += 1
            self._mark(event["host"], "go", True)
            if self._counts["run"] == len(self.names) and not self._attached:
                self.stage("go", f"started on {self._nodes()}")
        elif kind == events.JOINED:
            self._counts["joined"] += 1
            if self._planned and self._counts["joined"] == self._planned["world_size"] and not self._attached:
                self.stage("ranks", f"all {self._counts['joined']} joined")
        elif kind == events.STOPPING:
            self._stopping = True
            self.stage("stop", "telling all nodes to stop")
        elif kind == events.EXIT:
            self._flush(event["host"])
        elif kind == events.SKIPPED:
            self._skipped(event["host"], event["log"], event["size"])
        elif kind in (events.SUSPECT, events.BACK):
            self._give((event["host"], ""), "", kind)
        elif kind == events.LOST:
            self._flush(event["host"])
            reason = event.get("message")
            self.stage("lost", f"{event['host']} is lost" + (f": {reason}" if reason else ""))
        elif kind == events.LOG_DEGRADED:
            self.stage("notice", f"{event['host']}: the disk is full, output of {event['log']} is lost")
        elif kind == events.FILES_SHORT:
            self.stage("notice", f"{event['host']}: too few open files, see runner.* for rank {event['rank']}")
        elif kind == events.NO_DUMP:
            self.stage("notice", f"{event['host']}: no py-spy there, so no stacks")
        elif kind == events.IDLE:
            self.stage("idle", f"no output for {event['seconds']:g} s; stopping")
        elif kind == events.RESTART:
            self._restart(event["attempt"], event["of"], event.get("replaced") or {})
        elif kind == events.TIMED:
            self.close()
            tell(*timing_table.lines(event))

    def _restart(self, attempt: int, of: int, replaced: dict[str, str]) -> None:
        self._flush()
        changes = "".join(f", {new} replaces {old}" for old, new in replaced.items())
        self.stage("restart", f"{attempt} of {of}{changes}")
        # Another run under the same name: it joins anew, and its failure has last lines of its own.
        self.names = [replaced.get(name, name) for name in self.names]
        self._counts.update(arm=0, run=0, joined=0)
        self._stopping = False
        self._last.clear()

    def _flush(self, only: str | None = None) -> None:
        """Show what no newline has ended, of one host or of all."""
        for host, log, text in self._logs.end(only):
            self._lines(host, log, [text])

    def _skipped(self, host: str, log: str, count: int) -> None:
        for _, _, text in self._logs.end(host, log):
            self._lines(host, log, [text + CUT])
        self._lines(host, log, [f"… {size(count)} not shown; they are in the file"])

    def _log(self, host: str, log: str, data: bytes) -> None:
        """Show what a log has grown by, as a whole where nothing in it wants a look at each line."""
        is_plain = self._ticker is None and not self._job.has_models
        lines = self._logs.block(host, log, data) if is_plain else None
        if lines is None:
            self._lines(host, log, self._logs.feed(host, log, data))
            return
        rank = self._keep(host, log, [line.decode() for line in lines.rsplit(b"\n", LAST_LINES)[-LAST_LINES:]])
        if rank is not None:
            self._leave_table()
            self._output.block(self._label(Line("line", "", ((host, rank),))), lines)

    def _lines(self, host: str, log: str, texts: Sequence[str]) -> None:
        if self._job.has_models:
            texts = [models.without_credentials(text) for text in texts]
        rank = self._keep(host, log, texts[-LAST_LINES:])
        if rank is None:
            return
        if self._ticker:
            for text in texts:
                self._ticker.add((host, rank), text, "line")
        elif texts:
            # Nothing waits for its like, so a whole piece of a log is one write.
            self._leave_table()
            self._output.job(self._label(Line("line", "", ((host, rank),))), texts)

    def _keep(self, host: str, log: str, last: Sequence[str]) -> str | None:
        """Keep the last lines of a log, and give the rank that it is of; None where it is not shown."""
        source = log.partition(".")[0]
        kept = self._last.setdefault((host, source), deque(maxlen=LAST_LINES))
        kept.extend(shortened(text, _LAST_LENGTH) for text in last)
        rank = source.removeprefix("rank-") if source.startswith("rank-") else ""
        if self._stopping and not rank and self._job.hides_stop:
            # What the runner prints while it is stopped buries the cause; the files keep it.
            return None
        return rank if self._rank is None or rank == str(self._rank) else None

    def _give(self, source: tuple[str, str], text: str, kind: str = "line") -> None:
        """Show a line now, or on a terminal when others had time to say the same."""
        if self._ticker:
            self._ticker.add(source, text, kind)
        else:
            self._show(Line(kind, text, (source,)))

    def _show(self, line: Line) -> None:
        if line.about_links:
            self._tell("link", line.about_links)
            return
        self._leave_table()
        self._output.job(self._label(line), [line.text])

    def _label(self, line: Line) -> str:
        return f"{plain(line.label):<{self._width}}"

    @property
    def reader_gone(self) -> bool:
        """Whether nobody reads the lines any more."""
        return self._output.reader_gone

    def _show_all(self) -> None:
        if self._ticker:
            self._ticker.flush()

    # -- the end ----------------------------------------------------------------------------------

    def finish(self, status: str, data: dict[str, Any] | None, ran: bool, error_text: str = "") -> None:
        """
        Write the summary: what failed first and its last words, or that all went well.

        Args:
            status: How it ended, in a word.
            data: What is known of the run; ``victims`` in it counts the ranks of each host that lost a peer.
            ran: Whether anything was started.
            error_text: What the rank that failed first wrote into its error file.
        """
        # A thread may hold the lock and wait for a screen that takes nothing: whoever was told to leave does.
        if not self._lock.acquire(timeout=_PATIENCE if self._is_left else -1):
            return
        try:
            self._finish(status, data, ran, error_text)
        finally:
            self._lock.release()

    def _finish(self, status: str, data: dict[str, Any] | None, ran: bool, error_text: str) -> None:
        self._flush()
        self.close()
        if self.errors and ran:
            self._error_text(self.errors[0], error_text)
            self._last_words(self.errors[0])
        print_problems(self.masked(self.errors), [])
        if not ran or data is None:
            return
        victims = victims_line(data.get("victims") or {})
        if victims:
            tell(victims)
        seconds = data.get("duration_seconds", 0.0)
        joined = data.get("ranks_joined")
        ranks = f", {joined} of {data['world_size']} ranks joined" if joined is not None else ""
        self.stage("done", f"{status} after {seconds:.1f} s on {self._nodes()}{ranks}")
        if status != "succeeded":
            self.stage("logs", f"{data['nodes'][0]['run_dir']}/{LOGS} on each node")

    @_alone
    def results(self, lines: Sequence[str], path: str) -> None:
        """Show what models came to, and where it is written."""
        tell("", *self._mask.data(list(lines)), "")
        if path:
            self.stage("results", path)

    @_alone
    def close(self) -> None:
        """Show all lines that wait, and leave the table as it stands."""
        self._show_all()
        self._leave_table()

    def _leave_table(self) -> None:
        """From here on the screen belongs to the job's lines."""
        table, self._table = self._table, None
        if table:
            table.close()

    def _error_text(self, problem: Problem, text: str) -> None:
        # Secrets of several lines are seen only before the text is cut into lines.
        lines = excerpt(self._mask.text(text), LAST_LINES, _LAST_LENGTH)
        if lines and problem.host is not None:
            self._block("error", problem, lines)

    def _last_words(self, problem: Problem) -> None:
        if problem.host is None or problem.code not in codes.WITH_LAST_LINES:
            return
        source = f"rank-{problem.rank}" if problem.rank is not None else "runner"
        lines = self._last.get((problem.host, source))
        if lines:
            self._block("last lines", problem, lines)
            tell("")

    @staticmethod
    def _block(what: str, problem: Problem, lines: Iterable[str]) -> None:
        rank = f" rank {problem.rank}" if problem.rank is not None else ""
        tell("", f"{what} of {problem.host}{rank}:")
        ERR.lines((f"  {text}" for text in lines), KEPT)

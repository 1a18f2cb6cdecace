# SPDX-License-Identifier: Apache-2.0
"""
What a launch looks like on the screen: the story on stderr, the job's own lines on stdout.

Lines are plain without a terminal. Bytes of the job are shown with control characters made harmless;
the files on the nodes keep them as they are.
"""

from __future__ import annotations

import shlex
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._words import unpack
from madctl.errors import Problem

LAST_LINES = 20
_SHOWN = {"\t"}


class View:
    """Collects what happens and writes each stage as it passes."""

    def __init__(
        self,
        names: Sequence[str],
        as_json: bool,
        single: bool,
        stages: Sequence[str] = ("probe", "arm", "go"),
        quiet: bool = False,
        rank: int | None = None,
    ) -> None:
        self.names = names
        self.as_json = as_json
        self.single = single
        self._quiet, self._rank = quiet, rank
        self.errors: list[Problem] = []
        self.warnings: list[Problem] = []
        self._output = sys.stderr if as_json else sys.stdout
        self._width = max(map(len, names)) + (0 if single else 5)
        self._partial: dict[tuple[str, str], bytes] = {}
        self._last: dict[tuple[str, str], deque[str]] = {}
        self._counts = {"probe": 0, "arm": 0, "run": 0, "joined": 0}
        self._planned: dict[str, Any] | None = None
        self._table = (
            StageTable(names, stages)
            if stages and not as_json and sys.stdout.isatty() and sys.stderr.isatty()
            else None
        )
        self._stopping = self._attached = False

    # -- stages -----------------------------------------------------------------------------------

    def stage(self, name: str, text: str) -> None:
        """Write one line of the story."""
        if self._quiet:
            return
        if self._table:
            self._table.write(f"{name:<7} {text}")
            return
        print(f"{name:<7} {text}", file=sys.stderr, flush=True)

    def probed(self, host: str, answered: bool) -> None:
        """A node was looked at."""
        self._mark(host, "probe", answered)
        self._counts["probe"] += answered
        if self._counts["probe"] == len(self.names) and answered:
            self.stage("probe", f"{self._nodes()} answered")

    def planned(self, plan: dict[str, Any] | None, without_ifconfig: Sequence[str]) -> None:
        """The plan was made, refused, or has to wait for net-tools."""
        if without_ifconfig:
            self.stage("install", f"net-tools on {fold(without_ifconfig)}")
        if plan is None:
            return
        for warning in folded(self.warnings):
            self.stage("notice", warning)
        self._planned = plan
        nproc = plan["nodes"][0]["nproc_per_node"]
        interfaces = ", ".join(sorted({node["interface"] for node in plan["nodes"]}))
        size = f"{plan['nnodes']} × {nproc} = {plan['world_size']} ranks"
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
        words = {b"s": "stopping; Ctrl-C again to kill", b"k": "killing; Ctrl-C again to let go", b"d": "letting go"}
        self.stage("stop", words[order])

    def goes_on(self, run_id: str) -> None:
        """The run goes on without us: say how to come back to it."""
        self.close()
        self.stage("run", f"{run_id} goes on: madctl attach {run_id}, madctl stop {run_id}")

    def attached(self, plan: dict[str, Any]) -> None:
        """A run that was planned before is followed."""
        self._planned = plan
        self._attached = True
        self.stage("attach", f"{plan['run_id']}: {plan['nnodes']} nodes, {plan['world_size']} ranks")

    # -- events of the run ------------------------------------------------------------------------

    def on_event(self, event: dict[str, Any], payload: bytes) -> None:
        """Take in one event from the nodes."""
        kind = event["event"]
        if kind == "log":
            self._log(event["host"], event["log"], payload)
        elif kind == "ready":
            self._armed(event["host"])
        elif kind == "started":
            self._counts["run"] += 1
            self._mark(event["host"], "go", True)
            if self._counts["run"] == len(self.names) and not self._attached:
                self.stage("go", f"started on {self._nodes()}")
        elif kind == "joined":
            self._counts["joined"] += 1
            if self._planned and self._counts["joined"] == self._planned["world_size"] and not self._attached:
                self.stage("ranks", f"all {self._counts['joined']} joined")
        elif kind == "stopping" and not self._attached:
            self._stopping = True
            self.stage("stop", "telling all nodes to stop")
        elif kind == "exit":
            self._flush(event["host"])

    def _log(self, host: str, log: str, payload: bytes) -> None:
        key = (host, log)
        *lines, rest = (self._partial.get(key, b"") + payload).split(b"\n")
        for line in lines:
            self._line(host, log, line)
        self._partial[key] = rest

    def _flush(self, host: str) -> None:
        for key, rest in list(self._partial.items()):
            if key[0] == host and rest:
                self._line(host, key[1], rest)
                self._partial[key] = b""

    def _line(self, host: str, log: str, line: bytes) -> None:
        source = log.partition(".")[0]
        text = harmless(line)
        self.close()
        self._last.setdefault((host, source), deque(maxlen=LAST_LINES)).append(text)
        rank = source.removeprefix("rank-") if source.startswith("rank-") else ""
        if self._stopping and not rank and self._planned and self._planned["shape"] == "script":
            # What torchrun says of being stopped buries the cause; the files keep it.
            return
        if self._rank is not None and rank != str(self._rank):
            return
        label = f"{host}:{rank}" if rank else host
        print(f"{label:<{self._width}} │ {text}", file=self._output, flush=True)

    # -- the end ----------------------------------------------------------------------------------

    def finish(self, status: str, data: dict[str, Any] | None, ran: bool) -> None:
        """Write the summary: what failed first and its last words, or that all went well."""
        self.close()
        if self.errors and ran:
            self._last_words(self.errors[0])
        print_problems(self.errors, [])
        if not ran or data is None:
            return
        seconds = data.get("duration_seconds", 0.0)
        joined = data.get("ranks_joined")
        ranks = f", {joined} of {data['world_size']} ranks joined" if joined is not None else ""
        self.stage("done", f"{status} after {seconds:.1f} s on {self._nodes()}{ranks}")
        if status != "succeeded":
            self.stage("logs", f"{data['nodes'][0]['run_dir']}/logs on each node")

    def close(self) -> None:
        """Leave the table as it stands: from here on the screen belongs to the job's lines."""
        table, self._table = self._table, None
        if table:
            table.close()

    def _last_words(self, problem: Problem) -> None:
        if problem.host is None:
            return
        source = f"rank-{problem.rank}" if problem.rank is not None else "runner"
        lines = self._last.get((problem.host, source))
        if lines:
            rank = f" rank {problem.rank}" if problem.rank is not None else ""
            print(f"\nlast lines of {problem.host}{rank}:", file=sys.stderr)
            for text in lines:
                print(f"  {text}", file=sys.stderr)
            print(file=sys.stderr)


def show_plan(data: dict[str, Any]) -> None:
    """Print a plan: nodes × rank, then the exact command line and environment of every node."""
    width = max(4, *(len(node["host"]) for node in data["nodes"]))
    print(f"{'RANK':<6}{'HOST':<{width + 2}}{'ADDRESS':<17}{'INTERFACE':<17}PROCESSES")
    for node in data["nodes"]:
        line = f"{node['node_rank']:<6}{node['host']:<{width + 2}}{node['address']:<17}{node['interface']:<17}"
        print(f"{line}{node['nproc_per_node']}")
    for node in data["nodes"]:
        print(f"\n{node['host']}: cd {shlex.quote(node['cwd'])}")
        for name, value in node["env"].items():
            print(f"  {name}={shlex.quote(unpack(value))}")
        print(f"  {shlex.join(map(unpack, node['argv']))}")


def print_problems(errors: Sequence[Problem], warnings: Sequence[Problem], blank: bool = False) -> None:
    """Print warnings, then errors, one line each, after an empty one where wanted."""
    lines = [f"notice: {line}" for line in folded(warnings)] + [f"madctl: {line}" for line in folded(errors)]
    for line in [""] * (blank and bool(lines)) + lines:
        print(line, file=sys.stderr)


def folded(problems: Sequence[Problem]) -> list[str]:
    """Write problems as lines, one line for all nodes that have the same one, in order of appearance."""
    groups: dict[Problem, list[str]] = {}
    for problem in problems:
        groups.setdefault(replace(problem, host=None), []).extend([problem.host] if problem.host else [])
    lines = []
    for problem, hosts in groups.items():
        lines.append(str(replace(problem, host=fold(hosts) or None)))
    return lines


def fold(hosts: Sequence[str]) -> str:
    """Write many names as a short list; addresses with colons are nothing that can be folded."""
    from ClusterShell.NodeSet import NodeSet

    if len(hosts) < 2 or any(":" in host for host in hosts):
        return ",".join(hosts)
    return str(NodeSet.fromlist(hosts))


class StageTable:
    """Nodes × stage on a terminal, redrawn in place; at most ``ROWS`` nodes are shown one by one."""

    ROWS = 32

    def __init__(self, names: Sequence[str], stages: Sequence[str]) -> None:
        from rich.console import Console
        from rich.live import Live

        self._stages = stages
        self._passed: dict[str, dict[str, bool]] = {name: {} for name in names}
        console = Console(stderr=True, highlight=False)
        self._live = Live(self._render(), console=console, refresh_per_second=8, transient=True)
        self._live.start()

    def mark(self, host: str, stage: str, passed: bool) -> None:
        """Note that a node passed a stage, or did not."""
        self._passed.setdefault(host, {})[stage] = passed
        self._live.update(self._render())

    def write(self, line: str) -> None:
        """Write a line above the table."""
        self._live.console.print(line, markup=False)

    def close(self) -> None:
        """Take the table away."""
        self._live.stop()

    def _render(self) -> Any:
        from rich.table import Table
        from rich.text import Text

        signs = {None: Text("·"), True: Text("✓", style="green"), False: Text("✗", style="red")}
        table = Table(box=None, pad_edge=False)
        for title in ("node", *self._stages):
            table.add_column(title)
        unfinished = [name for name, stages in self._passed.items() if len(stages) < len(self._stages)]
        for name in (unfinished or list(self._passed))[: self.ROWS]:
            table.add_row(Text(name), *(signs[self._passed[name].get(stage)] for stage in self._stages))
        return table


def harmless(line: bytes) -> str:
    """Write a line so that no byte of it can move a terminal's cursor or change its state."""
    text = line.rstrip(b"\r").decode("utf-8", "backslashreplace").rpartition("\r")[2]
    return "".join(c if c.isprintable() or c in _SHOWN else c.encode("unicode_escape").decode() for c in text)

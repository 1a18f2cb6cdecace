# SPDX-License-Identifier: GPL-3.0-or-later
"""
Run a program on many nodes at once, where one of them, the head, has to speak first.

The head's program tells its news (the ports that it listens on) while it runs, the others are started
with them, and the head's standard input ends when all others have ended.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes import program_output, remote_program
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes.way import AT_ONCE, Ways

News = dict[str, Any]
Make = Callable[[str, News], remote_program.Program]
Done = Callable[[str, dict[str, Any]], None]


class Round:
    """One program a node; ``done`` gets every node's answer, in a thread of its own."""

    def __init__(self, ways: Ways, head: str | None, make: Make, done: Done) -> None:
        """
        Prepare a round.

        Args:
            head: The node that speaks first, or None when nobody has to.
            make: Gives a node's program, from the node's name and the head's news.
        """
        self._ways, self._head, self._make, self._done = ways, head, make, done
        self._news: News = {}
        self._spoken, self._others_done = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._left = len(ways) - (head is not None)
        self._cancelled = False
        self._pool = ThreadPoolExecutor(AT_ONCE)
        if head is None:
            self._spoken.set()
        if not self._left:
            self._others_done.set()

    def start(self, run_dirs: Mapping[str, str] | None = None) -> None:
        """
        Start all nodes, the head first.

        Args:
            run_dirs: Where programs make supervisors to which channels will be wanted, by host.
        """
        others = [host for host in self._ways if host != self._head]
        for host in [*([self._head] if self._head else []), *others]:
            self._pool.submit(self._run, host, (run_dirs or {}).get(host))

    def cancel(self) -> None:
        """Start no more programs, and end those that run."""
        with self._lock:
            self._cancelled = True
            for process in self._running:
                process.kill()
        self._spoken.set()
        self._others_done.set()

    def close(self, seconds: float | None = None) -> None:
        """Wait until every program has ended; those that have not after ``seconds`` are given up."""
        if seconds is None:
            self._pool.shutdown()
            return
        watch = threading.Timer(seconds, self.cancel)
        watch.daemon = True
        watch.start()
        self._pool.shutdown()
        watch.cancel()

    def _run(self, host: str, run_dir: str | None) -> None:
        try:
            answer = self._speak(host, run_dir) if host == self._head else self._follow(host, run_dir)
        except Exception as error:  # noqa: BLE001  a thread's exception would be lost
            answer = {"failed": True, "msg": "%s: %s" % (type(error).__name__, error)}
        if host == self._head:
            self._spoken.set()
        else:
            with self._lock:
                self._left -= 1
                if not self._left:
                    self._others_done.set()
        self._done(host, answer)

    def _open(self, host: str, run_dir: str | None, program: remote_program.Program) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._cancelled:
                raise InterruptedError("cancelled")
            way = self._ways[host]
            process = way.start(program.command(way.python), run_dir)
            self._running.add(process)
        return process

    def _follow(self, host: str, run_dir: str | None) -> dict[str, Any]:
        self._spoken.wait()
        program = self._make(host, self._news)
        process = self._open(host, run_dir, program)
        remote_program.give(process, program)
        return self._answer(process, program, program_output.Hearing(process, program_output.ANSWER_BYTES))

    def _speak(self, host: str, run_dir: str | None) -> dict[str, Any]:
        program = self._make(host, {})
        process = self._open(host, run_dir, program)
        hearing = program_output.Hearing(process, program_output.ANSWER_BYTES)
        remote_program.give(process, program, is_all=False)
        news = hearing.news(program)
        if news is not None:
            self._news = news
            self._spoken.set()
            self._others_done.wait()
        remote_program.end(process)
        return self._answer(process, program, hearing)

    def _answer(
        self, process: subprocess.Popen[bytes], program: remote_program.Program, hearing: program_output.Hearing
    ) -> dict[str, Any]:
        try:
            return hearing.answer(program)
        finally:
            with self._lock:
                self._running.discard(process)
            process.kill()
            process.wait()

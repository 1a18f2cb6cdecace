# SPDX-License-Identifier: Apache-2.0
"""``madctl launch``: check every node, start the work on all of them at once, follow it to the end."""

from __future__ import annotations

import argparse
import signal
import threading
from typing import Any

from madctl.errors import ExitCode, Problem, RunError
from madctl.options import Targets, add_host_options, targets
from madctl.request import add_job_options, variables

STOP, KILL = b"s", b"k"


def register(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "launch",
        help="start work on all nodes at once",
        description="Check every node, start the work on all of them at once, follow it to the end.",
        usage="madctl launch [--hosts LIST] [OPTION…] -- SCRIPT.py [ARG…]",
        allow_abbrev=False,
    )
    add_host_options(parser)
    add_job_options(parser)
    parser.add_argument("--output", choices=["text", "json"], default="text", help="what stdout carries (default text)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Launch, and return the exit code that tells how it ended."""
    from madctl.view import View

    wanted = variables(options)
    nodes = targets(options)
    view = View(nodes.names, as_json=options.output == "json", single=len(nodes.names) == 1)
    session = Session(options, nodes, wanted, view)
    return session.run()


class Session:
    """One attached launch: the playbook in a thread, signals in front."""

    def __init__(self, options: argparse.Namespace, nodes: Targets, wanted: dict[str, Any], view: Any) -> None:
        self.options, self.nodes, self.wanted, self.view = options, nodes, wanted, view
        self.plan: dict[str, Any] | None = None
        self.final: dict[str, Any] | None = None
        self.interrupts = 0
        self.signal = signal.SIGINT
        self.arming = False

    def run(self) -> int:
        """Run to the end and report it."""
        from madctl.engine import Engine
        from madctl.report import report

        with Engine(self.on_task, self.view.on_event) as engine:
            self.engine = engine
            thread = threading.Thread(target=self._play, daemon=True)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, self.on_signal)
            thread.start()
            while thread.is_alive():
                thread.join(0.2)
            if self.interrupts and self.final is None:
                self._clean_up()
            return report(self, engine.failure)

    def _play(self) -> None:
        try:
            self.engine.run("launch", self.nodes, self.wanted)
        except Exception as error:  # noqa: BLE001  the thread has no other way to report
            self.engine.failure = repr(error)

    def on_signal(self, number: int, _: object) -> None:
        """Stop gracefully the first time, at once the second."""
        self.interrupts += 1
        self.signal = signal.Signals(number)
        self.view.interrupted(self.interrupts)
        if not self.engine.stop(STOP if self.interrupts == 1 else KILL):
            self.engine.cancel()

    def on_task(self, action: str, host: str, result: dict[str, Any]) -> None:
        """Take in what Ansible reports of a task."""
        if action.endswith("node_info"):
            self.view.probed(host, "node" in result)
        elif action.endswith("multinode.plan"):
            self.plan = result.get("plan")
            for node in self.plan["nodes"] if self.plan else []:
                node["env"] = {**self.wanted["madctl_env"], **node["env"]}
            self.arming = self.plan is not None and not self.options.dry_run
            self.problems(result)
            self.view.planned(self.plan, result.get("without_ifconfig", []))
        elif action.endswith("run_start"):
            self.final = result
            self.problems(result)

    def problems(self, result: dict[str, Any]) -> None:
        """Keep what a task found wrong."""
        from madctl.result import to_problem

        self.view.warnings += [to_problem(entry) for entry in result.get("warning_list", [])]
        self.view.errors += [to_problem(entry) for entry in result.get("problems", [])]

    def _clean_up(self) -> None:
        """Disarm what was armed when Ansible was ended in the middle of it."""
        from madctl.engine import Engine

        self.view.errors = [Problem("INTERRUPTED", "interrupted before the start")]
        if not self.arming or self.plan is None:
            return
        left: list[str] = []

        def on_task(action: str, host: str, result: dict[str, Any]) -> None:
            if action.endswith("run_stop") and "left" not in result:
                left.append(host)

        with Engine(on_task, lambda *_: None) as engine:
            engine.run("stop", self.nodes, {"madctl_run_id": self.plan["run_id"]})
        if left:
            raise RunError(
                ExitCode.STOP_UNVERIFIED,
                *[Problem("STOP_UNVERIFIED", "whether it stopped could not be verified", host) for host in left],
            )

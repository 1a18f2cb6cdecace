# SPDX-License-Identifier: Apache-2.0
"""
Judge how a run ended from what every node reported. Pure; private to the collection.

The first failure wins; what failed later, after others were told to stop, is a consequence.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._codes import Problem, problem

# Nobody of ours kills a job that nobody stopped; the kernel does.
_KILLED = "look for an out-of-memory kill on the node: dmesg"


@dataclass
class NodeRun:
    """What the follower knows of one node; times are the follower's own, in seconds."""

    host: str
    node_rank: int
    ready: bool = False
    started_at: Optional[float] = None
    exit: Optional[Dict[str, Any]] = None
    joined: int = 0
    failed_at: Optional[float] = None
    failure: Optional[Problem] = None
    last_lines: List[str] = field(default_factory=list)

    def fail(self, at: float, found: Problem) -> None:
        """Record this node's first failure."""
        if self.failure is None:
            self.failed_at, self.failure = at, found


def signal_text(number: int) -> str:
    """Name a signal as people know it."""
    import signal

    try:
        return signal.Signals(number).name
    except ValueError:
        return "signal %d" % number


def rank_failure(host: str, event: Dict[str, Any]) -> Problem:
    """Describe a rank that ended badly."""
    how = signal_text(event["signal"]) if event["signal"] else "exit code %s" % event["exit_code"]
    return problem(
        "RANK_FAILED",
        host,
        "rank %s failed: %s" % (event["rank"], how),
        _KILLED if event["signal"] == 9 else "its output is in logs/rank-%s.* of the run directory" % event["rank"],
        rank=event["rank"],
        exit_code=event["exit_code"],
        signal=event["signal"],
    )


def runner_failure(host: str, shape: str, record: Dict[str, Any]) -> Problem:
    """Describe a runner, or a command, that ended badly."""
    how = signal_text(record["signal"]) if record["signal"] else "exit code %s" % record["exit_code"]
    what, code = ("the command", "COMMAND_FAILED") if shape == "command" else ("torchrun", "RANK_FAILED")
    remedy = _KILLED if record["signal"] == 9 else "its output is in logs/runner.* of the run directory"
    return problem(
        code, host, "%s failed: %s" % (what, how), remedy, exit_code=record["exit_code"], signal=record["signal"]
    )


def judge(
    runs: List[NodeRun], plan: Dict[str, Any], interrupted: Optional[Problem]
) -> Tuple[List[Problem], Dict[str, Any]]:
    """
    Sum up a run.

    Returns:
        Problems, the first failure first, none when the run succeeded; and the fields that the
        result adds to the plan.
    """
    failed = sorted((run for run in runs if run.failure), key=lambda run: run.failed_at or 0.0)
    problems: List[Problem] = [run.failure for run in failed if run.failure]
    if interrupted:
        problems.insert(0, interrupted)
    script = plan["shape"] == "script"
    joined = sum(run.joined for run in runs)
    if not problems and script and joined < plan["world_size"]:
        message = "%d of %d ranks joined" % (joined, plan["world_size"])
        problems.append(problem("RANKS_MISSING", None, message, "see the logs of the nodes"))
    for run in runs:
        left = run.exit and run.exit.get("left_behind")
        if left:
            message = "processes %s did not end" % ", ".join(map(str, left))
            problems.append(problem("LEFT_BEHIND", run.host, message, "look at them on the node"))
    starts = [run.started_at for run in runs if run.started_at is not None]
    nodes = []
    for run, node in zip(runs, plan["nodes"]):
        record = run.exit or {}
        shown = {
            key: node.get(key) for key in ("host", "node_rank", "address", "interface", "nproc_per_node", "run_dir")
        }
        nodes.append(dict(shown, exit_code=record.get("exit_code"), signal=record.get("signal")))
    return problems, {
        "ranks_joined": joined if script else None,
        "start_spread_seconds": round(max(starts) - min(starts), 3) if starts else None,
        "nodes": nodes,
    }

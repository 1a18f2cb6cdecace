# SPDX-License-Identifier: Apache-2.0
"""
Judge how a run ended from the reports of all nodes. Pure; private to the collection.

The first failure wins. Failures after the other nodes were told to stop are a consequence of it.
"""

from __future__ import annotations

import os
import signal
from typing import Any, Dict, List, Optional, Sequence, Set, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import events, run_directory, runners
from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import JOB_CODES, Problem, problem
from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import clause, count
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import Plan
from ansible_collections.madctl.multinode.plugins.module_utils._follow.node_run import NodeRun

_SHOWN, _LISTED = 200, 8  # Characters of a name, and entries of a list, in a message.
# madctl never kills a job that was not stopped; the kernel does.
_KILLED = "check the node for an out-of-memory kill: dmesg"


def _job(plan: Plan) -> runners.Runner:
    return runners.job_of(plan["shape"], plan.get("runner"))


def signal_text(number: int) -> str:
    """Return the usual name of a signal."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return "signal %d" % number


def _how(record: Dict[str, Any]) -> Tuple[str, str]:
    """Return how a process ended, and a remedy if that alone suggests one."""
    if record.get("oom"):
        return "out of memory, killed by the kernel", "reduce its memory use, or give the node more memory"
    if record["signal"]:
        return signal_text(record["signal"]), _KILLED if record["signal"] == 9 else ""
    return "exit code %s" % record["exit_code"], ""


def logs_of(plan: Plan, host: Optional[str] = None, rank: Any = None) -> str:
    """Return the remedy that shows what a run or one part of it printed."""
    which = " --rank %s" % rank if rank is not None else " --host %s" % host if host else ""
    # The id alone means the last attempt of a restarted run.
    return "see madctl logs %s%s" % (plan["run_id"].partition(".")[0], which)


def rank_failure(host: str, plan: Plan, event: Dict[str, Any]) -> Problem:
    """Describe a rank that ended badly."""
    how, remedy = _how(event)
    message = "rank %s failed: %s" % (event["rank"], how)
    return {
        **problem("RANK_FAILED", host, message, remedy or logs_of(plan, rank=event["rank"])),
        "rank": event["rank"],
        "exit_code": event["exit_code"],
        "signal": event["signal"],
        "error": event.get("error"),
    }


def joined(run: NodeRun, plan: Plan, event: Dict[str, Any]) -> Optional[Problem]:
    """Count a rank; it is ours only if its world has the planned size, unless a command created the world."""
    size = event.get("world_size")
    is_ours = size in (None, plan["world_size"] or size)
    if is_ours and event["rank"] is not None:
        run.ranks.add(event["rank"])
    if is_ours or not _job(plan).counts_ranks:
        return None
    message = "rank %s is in a world of %s, not of %d" % (event["rank"], size, plan["world_size"])
    return problem("WORLD_DIFFERS", run.host, message, "leave the number of ranks to the plan")


def apart(runs: Sequence[NodeRun], run: NodeRun, plan: Plan, event: Dict[str, Any]) -> Optional[Problem]:
    """Record a rank whose program created its own world; if all did, no rank is in the planned one."""
    run.apart[event["rank"]] = event
    # A single rank has no peers to be separated from: it may well lead its own world.
    have_all = sum(len(each.apart) for each in runs) >= max(plan["world_size"], 2)
    if not _job(plan).counts_ranks or not have_all:
        return None
    message = "rank %s of %d started %s, which made a world of its own, of size %s, as did every rank"
    text = message % (event["rank"], plan["world_size"], event["launcher"], event["size"])
    return problem("WORLD_DIFFERS", run.host, text, "leave it out of the work, or run it once per node: --command")


def silence(plan: Plan, seconds: float) -> Problem:
    """Describe a job that has not printed anything for too long."""
    job = _job(plan)
    if job.counts_ranks:
        message, remedy = "no rank printed anything", "see where the ranks wait: logs/rank-*.stack"
    else:
        message, remedy = "%s printed nothing" % job.called, logs_of(plan)
    return problem("TIMED_OUT", None, "%s for %g s" % (message, seconds), remedy)


def start_failure(host: str, event: Dict[str, Any]) -> Problem:
    """Describe a runner or a rank's program that could not be executed."""
    if event["event"] == events.START_FAILED:
        message = "the runner could not be started: " + event["message"]
    else:
        why = clause(os.strerror(event["errno"]))
        message = "%s could not be started: %s" % (event["argv0"][:_SHOWN], why)
    return problem("START_FAILED", host, message, "install it there, or give its path")


def runner_failure(run: NodeRun, plan: Plan, record: Dict[str, Any]) -> Problem:
    """Describe a runner, or a command, that ended badly."""
    how, remedy = _how(record)
    ranks, job = runners.ranks_by(plan.get("runner")), _job(plan)
    what, code = (ranks.daemons, ranks.code) if ranks.daemons and run.node_rank else (job.called, job.code)
    found = problem(code, run.host, "%s failed: %s" % (what, how), remedy or logs_of(plan, run.host))
    return {**found, "exit_code": record["exit_code"], "signal": record["signal"]}


def exit_failure(run: NodeRun, plan: Plan, record: Dict[str, Any], is_stopping: bool) -> Optional[Problem]:
    """Return the failure that a node's record indicates, if any."""
    outcome = record["outcome"]
    if outcome == run_directory.LOST:
        return problem("SUPERVISOR_LOST", run.host, "its supervisor was killed", _KILLED)
    if record.get("trouble"):
        about = "its supervisor failed and ended the job: %s" % str(record["trouble"])[:_SHOWN]
        return problem("SUPERVISOR_LOST", run.host, about, "see supervisor.log in the run directory")
    if record.get("stopped") or is_stopping:
        return None
    if outcome == run_directory.DISARMED:
        message = "it gave up: its connection ended before the start"
        return problem("NODE_NOT_READY", run.host, message, "check that it is up, then launch again")
    is_bad = outcome != run_directory.EXITED or record["exit_code"] != 0 or bool(record["signal"])
    return runner_failure(run, plan, record) if is_bad and run.failure is None else None


def model_failure(host: str, plan: Plan, event: Dict[str, Any]) -> Optional[Problem]:
    """Describe the models that failed; return None if none failed, or if they were told to end."""
    if event["stopping"]:
        return None
    if event["failed"]:
        code = event.get("mpi") or "MODEL_FAILED"
        found = problem(code, host, _brief(event["failed"]), None if event.get("mpi") else logs_of(plan, host))
    elif event.get("alone"):
        message = "model %s printed its own performance here: each node made a world of its own"
        remedy = "start ranks with $MAD_MULTI_NODE_RUNNER, and print performance on rank 0 only"
        found = problem("WORLD_DIFFERS", host, message % ", ".join(event["alone"]), remedy)
    else:
        return None
    return {**found, "exit_code": event["exit_code"]}


def _brief(entries: List[str]) -> str:
    more = ", and %d more" % (len(entries) - _LISTED) if len(entries) > _LISTED else ""
    return ", ".join(entry[:_SHOWN] for entry in entries[:_LISTED]) + more


def failure(
    run: NodeRun, runs: Sequence[NodeRun], plan: Plan, event: Dict[str, Any], at: float
) -> Tuple[Optional[Problem], float]:
    """
    Return the failure that an event indicates, if any, and the seconds that are added to its date.

    Args:
        at: When it happened, by our wall clock.
    """
    name = event["event"]
    if name == events.JOINED:
        return joined(run, plan, event), 0.0
    if name == events.APART:
        return apart(runs, run, plan, event), 0.0
    if name in (events.START_FAILED, events.EXEC_FAILED):
        return start_failure(run.host, event), 0.0
    if name == events.MODELS:
        run.models = event["rows"]
        return model_failure(run.host, plan, event), 0.0
    if name == events.RUNNER_EXIT:
        return runner_failure(run, plan, event), lag(plan, event)
    if name == events.RANK_EXIT and (event["exit_code"] or event["signal"]):
        run.failed_ranks += 1
        found = rank_failure(run.host, plan, event)
        if _job(plan).has_models:
            # Its script may try again; if not, this is why the model failed.
            run.rank_failures.append((at + lag(plan, event), found))
            return None, 0.0
        return found, lag(plan, event)
    return None, 0.0


def _bystanders(runs: List[NodeRun], plan: Plan) -> List[Problem]:
    """Find nodes that did not run a model that others ran, and nodes that did not report how their models ended."""
    silent = [run.host for run in runs if run.models is None]
    if silent:
        about = "how its models ended is not known"
        return [problem("MODEL_FAILED", host, about, logs_of(plan, host)) for host in silent]
    ran = {run.host: _models_run(run) for run in runs}
    found = []
    for model in sorted(set.union(*ran.values())):
        # A model with several results has one row per result, with a suffix to its name.
        without = [host for host, own in ran.items() if not any(_is_same_model(model, other) for other in own)]
        about = "%s ran on other nodes, not here" % model
        found += [problem("MODEL_FAILED", host, about, logs_of(plan, host)) for host in without]
    return found


def _models_run(run: NodeRun) -> Set[str]:
    return {row.get("model", "") for row in run.models or [] if row.get("status", "").upper() != "SKIPPED"}


def _is_same_model(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def lag(plan: Plan, event: Dict[str, Any]) -> float:
    """
    Return the seconds that are added to the time of an end when failures are put in order.

    Under mpirun, all ranks end within moments of each other, closer than clocks are accurate. A rank that ends with an
    exit code, and mpirun or a daemon that ends by a signal, have their own reason; a rank that ends by a signal
    may have been killed by its daemon, and mpirun or a daemon with an exit code reports what happened to others.
    """
    if not runners.ranks_by(plan.get("runner")).ends_together:
        return 0.0
    if event["event"] == events.RANK_EXIT:
        return 0.5 if event["signal"] else 0.0
    return 0.0 if event["signal"] else 1.0


def _of_models(runs: Sequence[NodeRun], failed: Sequence[NodeRun]) -> List[Problem]:
    """Return the rank whose failure came first, where the script of a model then failed on some node."""
    if not failed or failed[0].failure_code != "MODEL_FAILED":
        return []
    until = failed[0].failed_at or 0.0
    ended = [entry for run in runs for entry in run.rank_failures if entry[0] <= until]
    return [min(ended, key=lambda entry: entry[0])[1]] if ended else []


def _unfinished(run: NodeRun) -> Optional[Problem]:
    """Describe a node's part of the run that did not end by itself, which is never a success."""
    if run.exit is None:
        return problem("NODE_LOST", run.host, "how its part of the run ended is not known", "see madctl status")
    if run.exit.get("stopped"):
        why = "its part of the run was stopped: %s" % (run.exit.get("reason") or "unknown reason")
        return problem("RUN_STOPPED", run.host, why)
    return None


def judge(runs: List[NodeRun], plan: Plan, interrupted: Optional[Problem]) -> Tuple[List[Problem], Dict[str, Any]]:
    """
    Sum up a run.

    Returns:
        Problems, the first failure first, none if the run succeeded; and the fields that the result adds to the plan.
    """
    failed = sorted((run for run in runs if run.failure), key=lambda run: run.failed_at or 0.0)
    # Nodes that only waited for the one that delayed the start are not to blame.
    first = failed[0].failed_at or 0.0 if failed else 0.0
    failed = [run for run in failed if run.failure_code != "DAEMON_NOT_READY" or (run.failed_at or 0.0) < first + 1.0]
    problems: List[Problem] = [*_of_models(runs, failed), *(run.failure for run in failed if run.failure)]
    # Ranks that failed after the first failure probably lost their peer.
    victims = {run.host: run.failed_ranks for run in failed if run.failed_ranks}
    blamed = problems[0] if problems else None
    if blamed and blamed["code"] == "RANK_FAILED" and blamed.get("rank") is not None and blamed["host"] in victims:
        victims[blamed["host"]] -= 1
    problems = [entry for place, entry in enumerate(problems) if place == 0 or entry["code"] not in JOB_CODES]
    if interrupted:
        problems.insert(0, interrupted)
    job = _job(plan)
    joined = sum(run.joined for run in runs)
    if not problems and job.counts_ranks and joined < plan["world_size"]:
        message = "%d of %s joined" % (joined, count(plan["world_size"], "rank"))
        problems.append(problem("RANKS_MISSING", None, message, logs_of(plan)))
    if not problems and job.has_models:
        problems += _bystanders(runs, plan)[:1]
    if not problems:
        problems = [found for found in map(_unfinished, runs) if found]
    for run in runs:
        left = run.left or (run.exit or {}).get("left_behind")
        if left:
            message = "left behind: %s" % _brief(left)
            problems.append(problem("LEFT_BEHIND", run.host, message, "inspect them on the node"))
    starts = [run.started_at for run in runs if run.started_at is not None]
    nodes = []
    for run, node in zip(runs, plan["nodes"]):
        record = run.exit or {}
        shown = {
            key: node.get(key) for key in ("host", "node_rank", "address", "interface", "nproc_per_node", "run_dir")
        }
        models = {"models": run.models or []} if job.has_models else {}
        nodes.append(dict(shown, exit_code=record.get("exit_code"), signal=record.get("signal"), **models))
    return problems, {
        "ranks_joined": joined if job.counts_ranks or job.has_models else None,
        "start_spread_seconds": round(max(starts) - min(starts), 3) if starts else None,
        # A rank that never joined had no peer to lose.
        "victims": {host: count for host, count in victims.items() if count and joined},
        "nodes": nodes,
    }

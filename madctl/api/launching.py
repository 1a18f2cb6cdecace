# SPDX-License-Identifier: Apache-2.0
"""Launch and check in the steps of the command line, in a thread that can be stopped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Unpack

from madctl import result as commands
from madctl.api import keywords, results
from madctl.api.following import Following
from madctl.api.keywords import Asked
from madctl.api.options import CheckOptions, LaunchOptions, Words
from madctl.api.results import Check
from madctl.api.run import Run
from madctl.errors import Problem
from madctl.playbook import report
from madctl.playbook.session import RunSession
from madctl.request import output_choice, scheduler_options
from madctl.request.role_variables import secrets
from madctl.verbs import check as checking
from madctl.verbs import launch as launching

_Work = Callable[[Asked, Following], commands.Result | None]


def launch(*work: Words, show: bool = False, **options: Unpack[LaunchOptions]) -> Run:
    """
    Check every node, start the job on all of them at once, and return the run once it runs everywhere.

    While this process lives, a thread follows the run, as ``madctl launch`` does; with ``detach=True`` nothing does.
    In a scheduler's job, the run may be queued first: then the call waits, too, unless it is detached.

    Ctrl-C during the call stops what was begun, and raises KeyboardInterrupt.

    Args:
        work: The script and its arguments, or, with ``command=True``, a program and its arguments; each is one word.
        show: Whether to print what ``madctl launch`` prints.
        options: The options of ``madctl launch``, with underscores: ``nproc_per_node=8``. Those that can be repeated
            take a list, and ``env`` a mapping, in which None passes a variable on from this process.

    Raises:
        UsageError: If the request is refused without contacting a node.
        RunError: If a check fails, or a node does not start; its exit code is that of the command line.
    """
    asked = keywords.parsed("launch", work, options)
    launching.require(asked.options)
    starts: dict[str, _Work] = {"ssh": _on_nodes, "slurm": _in_job, "k8s": _in_pods}
    following = _started(starts[asked.options.on], asked, show, to_end=asked.options.detach)
    if following.has_started or following.result is None:
        return _run(following)
    if following.record is not None and following.result.status in ("running", "queued"):
        return _run(following)
    raise _refusal(following)


def check(*work: Words, show: bool = False, **options: Unpack[CheckOptions]) -> Check:
    """
    Check everything that a launch with the same arguments needs, and start nothing.

    Args:
        work: The script and its arguments, if there are any.
        show: Whether to print the progress.
        options: The options of ``madctl check``, with underscores.

    Raises:
        UsageError: If the request is refused without contacting a node.
    """
    asked = keywords.parsed("check", work, options)
    scheduler_options.refuse_foreign(asked.options)
    ways: dict[str, _Work] = {"ssh": _check_nodes, "slurm": _check_in_job, "k8s": _check_in_pods}
    found = _started(ways[asked.options.on], asked, show, to_end=True).result
    assert found is not None
    nodes = tuple((found.data or {}).get("nodes", ()))
    return Check(int(found.exit_code), tuple(found.errors), tuple(found.warnings), nodes)


def _started(work: _Work, asked: Asked, shows: bool, to_end: bool) -> Following:
    """Begin, and wait until the run has started, or for its end, which may come first."""
    following = Following(lambda own: work(asked, own), shows)
    following.start()
    try:
        following.wait_started()
        if to_end:
            following.wait()
    except BaseException as interrupt:
        # Ctrl-C, or another exception from a signal handler.
        following.give_up()
        if following.error is not None:
            # For example, a node did not prove that nothing is left.
            interrupt.add_note(str(following.error))
        raise
    if following.error is not None:
        raise following.error
    return following


def _run(following: Following) -> Run:
    assert following.record is not None
    return Run(following.record.run_id, following.record.name, following, following.warnings)


def _refusal(following: Following) -> Exception:
    found = following.result
    assert found is not None
    run_id = following.record.run_id if following.record else None
    if not found.errors:
        # It ended before all of its nodes reported their start.
        message = f"the run ended before all nodes had started: {found.status}"
        return results.failure(run_id, found.exit_code, (Problem("NODE_NOT_READY", message),), None)
    return results.failure(run_id, found.exit_code, tuple(found.errors), None)


# -- launches, in the thread -----------------------------------------------------------------------


def _on_nodes(asked: Asked, following: Following) -> commands.Result:
    session = launching.on_nodes(asked.options, asked.environment)
    following.follow(session)
    launching.settle(session, asked.options)
    return report.run_result(session, "launch")


def _in_job(asked: Asked, following: Following) -> commands.Result | None:
    from madctl.nodes import job_site
    from madctl.playbook import job_launch, job_login

    options = asked.options
    wanted, words = launching.for_slurm(options, asked.environment)
    shown, hidden = output_choice.unchecked(options), secrets(options, wanted)
    site = None if options.login else job_site.of(options)
    launching.require_free_name(options)
    if site is None:
        login, wanted = launching.login_node(options, wanted)
        return _followed(job_login.submitter(options, login, wanted, hidden, shown), following)
    found = job_launch.submit(options, site, wanted, words, following.noted)
    following.record = found.record
    if following.noted:
        job_launch.cancel(found)
        return None
    if options.detach:
        following.notices = found.notices
        return None
    return _followed(job_launch.follower(found, options, hidden, shown, []), following)


def _in_pods(asked: Asked, following: Following) -> commands.Result | None:
    from madctl.playbook import kubernetes_launch
    from madctl.records import record_store

    options = asked.options
    wanted, drafted = launching.for_pods(options, asked.environment)
    launching.require_free_name(options)
    hidden, shown = secrets(options, wanted), output_choice.unchecked(options)
    cluster = kubernetes_launch.reached(drafted)
    record_store.prepare()
    found = kubernetes_launch.create(options, drafted, cluster)
    following.record = found.record
    if following.noted:
        kubernetes_launch.cancel(found, cluster)
        return None
    if options.detach:
        following.notices = found.notices
        return None
    return _followed(kubernetes_launch.follower(found, cluster, options, drafted, hidden, shown, []), following)


def _followed(session: RunSession, following: Following) -> commands.Result:
    following.follow(session)
    return report.run_result(session, "launch")


# -- checks, in the thread -------------------------------------------------------------------------


def _check_nodes(asked: Asked, following: Following) -> commands.Result:
    session = checking.on_nodes(asked.options, asked.environment)
    following.follow(session)
    checking.settle(session, asked.options)
    return report.check_result(session)


def _check_in_job(asked: Asked, following: Following) -> commands.Result:
    from madctl.nodes import job_site
    from madctl.playbook import job_check

    wanted, chosen = checking.for_slurm(asked.options, asked.environment)
    site, hidden = job_site.of(asked.options), secrets(asked.options, wanted)
    with job_check.opened(asked.options, site, wanted, chosen, hidden, []) as session:
        following.follow(session)
        return report.check_result(session)


def _check_in_pods(asked: Asked, following: Following) -> commands.Result:
    from madctl.playbook import kubernetes_check, kubernetes_launch

    wanted, drafted = checking.for_pods(asked.options, asked.environment)
    cluster, hidden = kubernetes_launch.reached(drafted), secrets(asked.options, wanted)
    with kubernetes_check.opened(asked.options, drafted, cluster, hidden, []) as session:
        following.follow(session)
        return report.check_result(session)

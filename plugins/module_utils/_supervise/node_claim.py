# SPDX-License-Identifier: Apache-2.0
"""
Claim the resources of a supervisor on a node: the lock, space for its record, protection when memory runs out.

Delivered beside the supervisor; private to the collection.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import selectors
import signal
import sys
import time
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import job_signals, run_directory, wire
from ansible_collections.madctl.multinode.plugins.module_utils._node import node_lock, processes, small_files

if TYPE_CHECKING:
    from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import Spec

PR_SET_CHILD_SUBREAPER = 36
OOM_SCORE = -500
RECORD_BYTES = 1 << 18


def enter(run_dir: str) -> Tuple[int, Spec]:
    """Enter a run's directory, detach from the terminal, and return the pipe for the first line, and the spec."""
    os.chdir(run_dir)
    os.umask(0o077)
    if os.getpid() != os.getsid(0):
        os.setsid()
    ready = os.open(run_directory.READY, os.O_RDWR | os.O_CLOEXEC)  # Read-write never waits for the other end.
    null = os.open(os.devnull, os.O_RDWR)
    errors = os.open(run_directory.SUPERVISOR_LOG, os.O_WRONLY | os.O_CREAT, 0o600)
    for descriptor, target in ((null, 0), (null, 1), (errors, 2)):
        os.dup2(descriptor, target)
    with open(run_directory.SPEC, encoding="utf-8") as stream:
        spec: Spec = json.load(stream)
    os.unlink(run_directory.SPEC)  # It contains the job's environment, which may hold secrets.
    return ready, spec


def set_oom_score(score: object) -> None:
    """Set how likely the kernel is to kill this process when memory runs out, if that is allowed."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as stream:
        stream.write(str(score))


def adopt_orphans() -> None:
    """Make this process adopt its descendants when their own parents end."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def raise_files() -> Tuple[int, int]:
    """Raise this process's limit of open files as far as allowed, and return the previous limits."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # Some kernels refuse an unlimited number.
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return soft, hard


def give_up(oom_score: str, umask: int, files: Tuple[int, int]) -> None:
    """Give a process that becomes the job the attributes of a user's login."""
    set_oom_score(oom_score)
    resource.setrlimit(resource.RLIMIT_NOFILE, files)
    os.umask(umask)
    for number in job_signals.FOR_RANKS:
        signal.signal(number, signal.SIG_DFL)


def take(path: str, run_id: str) -> int:
    """
    Take the node for this run, and return the open lock.

    Raises:
        OSError: If another run uses the node, with the lock or without it.
    """
    lock = node_lock.take(path)
    # A lock proves that a supervisor or runner lives, but a node without one may still be in use: workers close
    # inherited files.
    for other, pids in processes.others(run_id).items():
        raise OSError("already used by run %s: process %s" % (other, processes.describe(pids[0])))
    os.ftruncate(lock, 0)
    os.write(lock, run_id.encode() + b"\n")
    return lock


def container(run_id: str, in_step: bool) -> str:
    """Return what contains this process: a scheduler's ``step``, the run's ``systemd`` service, or a ``session``."""
    if in_step:
        return "step"
    with open("/proc/self/cgroup", encoding="utf-8", errors="replace") as stream:
        return "systemd" if "/" + run_directory.unit(run_id) in stream.read() else "session"


def reserve_record() -> None:
    """Reserve space on the disk for the exit record, so that a flood of lines cannot take it."""
    descriptor = _partial()
    with contextlib.suppress(OSError):  # Some file systems cannot do this; then the record needs free space at the end.
        os.posix_fallocate(descriptor, 0, RECORD_BYTES)
    os.close(descriptor)


def _partial() -> int:
    """Open the file that becomes the record, after moving away anything that a job put in its place."""
    flags = os.O_WRONLY | os.O_CREAT
    try:
        return small_files.opened(run_directory.PARTIAL_RECORD, flags)
    except OSError:
        if not os.path.lexists(run_directory.PARTIAL_RECORD):
            raise
    _move_away(run_directory.PARTIAL_RECORD)
    return small_files.opened(run_directory.PARTIAL_RECORD, flags | os.O_EXCL)


def _move_away(name: str) -> None:
    os.rename(name, "%s.%d" % (name, time.time_ns()))


def keep_record(record: Dict[str, Any]) -> None:
    """Write the record to its reserved space, completely or not at all, and without long texts if it does not fit."""
    brief = dict(record, rank_exits=[dict(entry, error=None) for entry in record["rank_exits"]])
    with contextlib.suppress(OSError):  # If the directory was removed, the follower still learns about the end.
        if not _write_record(record):
            _write_record(brief)


def _write_record(record: Dict[str, Any]) -> bool:
    data = json.dumps(record).encode()
    descriptor = _partial()
    try:
        written = os.write(descriptor, data)
        if written < len(data):
            return False
        os.ftruncate(descriptor, len(data))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if os.path.isdir(run_directory.RECORD) and not os.path.islink(run_directory.RECORD):
        _move_away(run_directory.RECORD)
    os.rename(run_directory.PARTIAL_RECORD, run_directory.RECORD)
    return True


def watch_signals(selector: selectors.BaseSelector, numbers: Iterable[int], tell: Callable[[int], None]) -> int:
    """
    Make a loop notice signals and ended children; a terminal's signals are ignored.

    Returns:
        The descriptor that the loop reads them from.
    """
    wake, waker = os.pipe()
    for descriptor in (wake, waker):
        os.set_blocking(descriptor, False)
    signal.set_wakeup_fd(waker)
    for number in (signal.SIGCHLD, *numbers):
        signal.signal(number, lambda *_: None)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)

    def on_signal(_: Any) -> None:
        for number in os.read(wake, 4096):
            tell(number)

    selector.register(wake, selectors.EVENT_READ, on_signal)
    return wake


def order_of(number: int, in_step: bool, is_ending: bool) -> bytes:
    """
    Return the order that a signal stands for, if any; a second order to stop means to kill.

    A scheduler sends two at the same time, and users have it send their own signals to every process of a step: in a
    step, only SIGTERM is meant for us, and never as an order to kill.
    """
    if in_step and number != signal.SIGTERM:
        return b""
    if number == signal.SIGTERM and is_ending and not in_step:
        return wire.KILL
    return next((order for order, known in wire.SIGNALS.items() if known == number), b"")


def explain(error: BaseException) -> None:
    """Write an internal error to the supervisor's log, as far as there is space."""
    import traceback  # Slow to import, and only needed after an error.

    with contextlib.suppress(OSError):
        traceback.print_exception(type(error), error, error.__traceback__)
        sys.stderr.flush()

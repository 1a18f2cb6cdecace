# SPDX-License-Identifier: Apache-2.0
"""
Find the processes of a run, and end only those that provably belong to it.

The proof is the run's id in a process's environment, or descent from the run's supervisor. Delivered beside the
supervisor; private to the collection.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import Dict, Iterable, Iterator, List, Optional, Sequence, Set, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._node import procfs, small_files

_MARK = run_directory.MARK.encode()
_LAUNCHER, _SUPERVISOR = ("/" + run_directory.LAUNCHER).encode(), run_directory.SUPERVISOR.encode()
_LOOK_SECONDS = 0.05
_LOOKS = 10  # on a busy node processes start all the time
# Children of a supervisor that must not be mistaken for one: those that may hang on storage, and the sampler.
HELPER, SAMPLER = b"madctl-storage", b"madctl-samples"


def mark_of(pid: int) -> Optional[bytes]:
    """Return the run's id in the environment of a process, as far as this user may read it."""
    return next((entry[len(_MARK) :] for entry in procfs.environment(pid) if entry.startswith(_MARK)), None)


def run_of(pid: int) -> Optional[str]:
    """Return the run that a process belongs to by its environment."""
    mark = mark_of(pid)
    return None if mark is None else mark.decode("ascii", "replace")


def named(pid: int) -> Optional[str]:
    """Return the run that a process belongs to, as its supervisor or as part of it."""
    return supervised(pid) or run_of(pid)


def supervised(pid: int) -> Optional[str]:
    """Return the run that a process supervises by its command line; None when it is not a supervisor."""
    run_dir = _run_dir(pid)
    return os.path.basename(run_dir).decode("ascii", "replace") if run_dir else None


def _run_dir(pid: int) -> Optional[bytes]:
    if procfs.read("/proc/%d/comm" % pid).strip() in (HELPER, SAMPLER):
        return None
    return run_dir_of(procfs.read("/proc/%d/cmdline" % pid).split(b"\0"))


def run_dir_of(words: Sequence[bytes]) -> Optional[bytes]:
    """Return the directory of the run that a command line supervises; None when it supervises none."""
    for program, name, run_dir in zip(words, words[1:], words[2:]):
        if program.endswith(_LAUNCHER) and name == _SUPERVISOR:
            return run_dir
    return None


def _is_over(pid: int) -> bool:
    """Return whether a supervisor's run is over, so that it only waits until its follower knows everything."""
    return os.path.exists(os.path.join(_run_dir(pid) or b"", run_directory.RECORD.encode()))


def find(run_id: str) -> Tuple[List[int], List[int]]:
    """Find a run's supervisors and the processes that carry its id, including those that start in the meantime."""
    supervisors, marked = [], []
    for pid in _arrivals():
        if supervised(pid) == run_id:
            supervisors.append(pid)
        elif run_of(pid) == run_id:
            marked.append(pid)
    # A process that a supervisor has just forked still looks like one, and would pass a signal on as a second order.
    return [pid for pid in supervisors if stat(pid)[1] not in supervisors], marked


def _arrivals() -> Iterator[int]:
    """
    Yield every process, then those that started in the meantime, until none did.

    Otherwise a process would be missed if its parent is in the list but ends before it is inspected.
    """
    known: Set[int] = set()
    for _ in range(_LOOKS):
        fresh = [pid for pid in procfs.numbered() if pid not in known]
        yield from fresh
        known.update(fresh)
        if not fresh:
            return


def is_still() -> bool:
    """Return whether, in one of a few tries, no process started between two lists: then there is no endless chain."""
    return any(set(procfs.numbered()) >= set(procfs.numbered()) for _ in range(_LOOKS))


def others(run_id: str) -> Dict[str, List[int]]:
    """Return the processes of all other runs of this user, by run: they may still run without the lock."""
    found: Dict[str, List[int]] = {}
    for pid in procfs.numbered():
        run = named(pid)
        if run and run != run_id and _is_ours(pid) and not (supervised(pid) and _is_over(pid)):
            found.setdefault(run, []).append(pid)
    return found


def _is_ours(pid: int) -> bool:
    """Return whether a process is this user's and not in a container, whose processes are visible as well."""
    try:
        same_host = os.readlink("/proc/%d/ns/pid" % pid) == os.readlink("/proc/self/ns/pid")
        return same_host and os.stat("/proc/%d" % pid).st_uid == os.geteuid()
    except OSError:
        return False


def children(pid: int) -> Set[int]:
    """
    Return the children of this process, including those that ended and were not collected.

    A process that adopts orphans, and collects none while it lists, misses none: a child stays until it is collected,
    and its own children are adopted before that.
    """
    found = procfs.read("/proc/%d/task/%d/children" % (pid, pid)).split()
    # Some kernels do not have that file.
    return set(map(int, found)) or {other for other in procfs.numbered() if stat(other)[1] == pid}


def by_parent() -> Dict[int, List[int]]:
    """Return all processes by their parent, without zombies."""
    found: Dict[int, List[int]] = {}
    for pid in procfs.numbered():
        state, parent = stat(pid)
        if state not in ("", "Z", "X"):
            found.setdefault(parent, []).append(pid)
    return found


def descendants(pid: int, without: Iterable[int] = ()) -> Set[int]:
    """Return the descendants of a process, except some children and their descendants."""
    below = by_parent()
    found: Set[int] = set()
    waiting = [child for child in below.get(pid, []) if child not in set(without)]
    while waiting:
        child = waiting.pop()
        found.add(child)
        waiting += below.get(child, [])
    return found


def started(pid: int) -> Optional[int]:
    """Return when a process started, in ticks since the boot; together with its process id, that is unique."""
    fields = procfs.fields(pid)
    return int(fields[19]) if len(fields) > 19 and fields[0] not in ("Z", "X") else None


def stat(pid: int) -> Tuple[str, int]:
    """Return a process's state letter and its parent; an empty state if there is no such process."""
    fields = procfs.fields(pid)
    return (fields[0], int(fields[1])) if len(fields) > 1 else ("", 0)


def describe(pid: int) -> str:
    """Describe a process and why it does not end: ``1234 (python3, state D, nfs_wait)``."""
    name, wait = small_files.text("/proc/%d/comm" % pid), small_files.text("/proc/%d/wchan" % pid)
    return "%d (%s)" % (pid, ", ".join(filter(None, [name, "state %s" % stat(pid)[0], (wait or "").strip("0")])))


def is_ours_to_end(pid: int) -> bool:
    """Return whether this user may signal a process, or it has ended."""
    try:
        os.kill(pid, 0)
    except OSError as error:
        return isinstance(error, ProcessLookupError)
    return True


def send(pids: Iterable[int], number: int) -> None:
    """Signal processes that may have ended in the meantime."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def end_all(run_id: str, seconds: float) -> List[int]:
    """Kill all processes that carry a run's id or descend from this one, for a bounded time; return what is left."""
    deadline = time.monotonic() + seconds
    while True:
        _, marked = find(run_id)
        left = sorted({*marked, *descendants(os.getpid())})
        if not left or time.monotonic() > deadline:
            return left
        send(left, signal.SIGKILL)
        time.sleep(_LOOK_SECONDS)


def kill_marked(run_id: str, pids: Iterable[int], number: int) -> None:
    """Signal processes that carry a run's id, and never another process that reuses such a process id."""
    for pid in pids:
        # Python 3.9
        opener, sender = getattr(os, "pidfd_open", None), getattr(signal, "pidfd_send_signal", None)
        if opener is None or sender is None:
            send([pid] if run_of(pid) == run_id else [], number)
            continue
        with contextlib.suppress(OSError):
            handle = opener(pid)
            try:
                # The handle always refers to the same process, so the signal cannot reach another one.
                if run_of(pid) == run_id:
                    sender(handle, number)
            finally:
                os.close(handle)


def oom_kills() -> int:
    """Return how many processes the kernel has killed since its boot because memory ran out."""
    for line in procfs.read("/proc/vmstat").splitlines():
        if line.startswith(b"oom_kill "):
            return int(line.split()[1])
    return 0

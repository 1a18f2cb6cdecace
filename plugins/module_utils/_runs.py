# SPDX-License-Identifier: Apache-2.0
"""
Look at a run on one node, end what is left of it, pack what it left. Private to the collection.

The run directory and the processes that are provably of the run are the truth; nothing here needs the
supervisor to answer.
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import json
import os
import signal
import socket
import stat
import time
from typing import Any, Callable, Dict, FrozenSet, Iterable, Iterator, List, Optional, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils import (
    _beacon,
    _bounded,
    _container,
    _containers,
    _processes,
    _wire,
)

KILL_SECONDS = 5.0
_LOOK_SECONDS = 0.05
_ALIVE_SECONDS = 3.0
_STORAGE_SECONDS = 3.0
_PIECE = 1 << 18
# Characters of a name that had to be spelled in another way; a name may have 255 bytes.
_SPELLED = 60
_ANSWERS = (0, errno.ECONNREFUSED)


def left(run_id: str, base: str) -> List[int]:
    """Find all processes of a run: by its id, and by its lock, which nobody else can have inherited."""
    supervisors, marked = _processes.find(run_id)
    return [*supervisors, *marked] or _lock_holders(run_id, os.path.join(base, "lock"))


def _lock_holders(run_id: str, path: str) -> List[int]:
    try:
        with open(path, "rb") as stream:
            if stream.read(200).strip() != run_id.encode():
                return []
            try:
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return []
            except OSError:
                pass
            status = os.fstat(stream.fileno())
    except OSError:
        return []
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            handles = [os.stat("/proc/%s/fd/%s" % (pid, name)) for name in os.listdir("/proc/%s/fd" % pid)]
        except OSError:
            continue
        if int(pid) != os.getpid() and any((h.st_dev, h.st_ino) == (status.st_dev, status.st_ino) for h in handles):
            found.append(int(pid))
    return found


def stop(run_id: str, base: str, grace: float) -> List[str]:
    """End a run's share of this node within ``grace`` seconds and describe what could not be ended."""
    deadline = time.monotonic() + grace
    supervisors, _ = _processes.find(run_id)
    _processes.send(supervisors, signal.SIGTERM)
    while left(run_id, base) and time.monotonic() < deadline:
        supervisors, marked = _processes.find(run_id)
        if not supervisors:
            _processes.kill_marked(run_id, marked, signal.SIGKILL)
            _processes.send([] if marked else left(run_id, base), signal.SIGKILL)
        time.sleep(_LOOK_SECONDS)
    _processes.send(left(run_id, base), signal.SIGKILL)
    deadline = time.monotonic() + KILL_SECONDS
    while left(run_id, base) and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
    _container.forget(run_id)
    remaining = left(run_id, base)
    if remaining:
        return [_processes.describe(pid) for pid in remaining]
    _tidy(os.path.join(base, run_id))
    return containers_left(run_id, os.path.join(base, run_id))


# What only a living supervisor needs; the spec may hold secrets.
_ITS_OWN = ("control.sock", "ranks.sock", "ready", "spec.json", "exit.json.partial", "relay.sock", "relay.key")


def is_over(run_id: str, base: str) -> bool:
    """Tell whether nothing of a run is left here, no process and nothing that only a supervisor needs."""
    return not left(run_id, base) and not any(os.path.lexists(os.path.join(base, run_id, name)) for name in _ITS_OWN)


def _tidy(run_dir: str) -> None:
    """Remove what a supervisor left that was killed, here and on shared storage."""
    armed = next((event for event in events(run_dir) if event["event"] == "armed"), {})
    if armed.get("storage"):
        place = _beacon.directory(armed["storage"], os.path.basename(run_dir))
        _bounded.together({"leave": (_beacon.leave, (place, str(armed["node_rank"])))}, _STORAGE_SECONDS)
    for name in _ITS_OWN:
        try:
            os.unlink(os.path.join(run_dir, name))
        except OSError:
            pass


def end(request: Dict[str, Any]) -> Dict[str, Any]:
    """
    End a run's share of this node.

    Args:
        request: ``run_id``; ``base``, the directory of run directories, or None for the usual one; ``grace`` in
            seconds; ``dry_run``, whether only to look.

    Returns:
        ``changed``; ``known``, whether the run was ever here; and ``left``: descriptions of what could not be ended.
    """
    base = request["base"] or default_base()
    run_dir = os.path.join(base, request["run_id"])
    if is_over(request["run_id"], base):
        known = os.path.isdir(run_dir)
        left_there = [] if request["dry_run"] else containers_left(request["run_id"], run_dir)
        return {"changed": False, "known": known, "left": left_there}
    left_there = [] if request["dry_run"] else stop(request["run_id"], base, request["grace"])
    return {"changed": True, "known": True, "left": left_there}


def containers_left(run_id: str, run_dir: str) -> List[str]:
    """Remove the containers of models whose supervisor could not, and say why some are left."""
    if not os.path.exists(os.path.join(run_dir, "model.json")):
        return []
    try:
        _containers.remove_of(run_id)
    except (OSError, ValueError) as error:
        return ["containers: %s" % error]
    return []


def stop_now(request: Dict[str, Any]) -> Dict[str, Any]:
    """End at once what is left of a run on this node; ``left`` describes what could not be ended."""
    return {"left": stop(request["run_id"], os.path.dirname(directory(request)), 0.0)}


def default_base() -> str:
    """Name the directory that holds run directories where nobody named one."""
    return "/var/tmp/madctl-%d" % os.geteuid()


def directory(request: Dict[str, Any]) -> str:
    """Name the run's directory on this node."""
    return request["run_dir"] or os.path.join(default_base(), request["run_id"])


def boot_id() -> str:
    """Read what tells one start of this machine from another."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
        return stream.read().strip()


def look(request: Dict[str, Any]) -> Dict[str, Any]:
    """
    Say how a run stands on this node.

    Args:
        request: ``run_id``; ``run_dir``, or None where the default base holds it.

    Returns:
        ``state`` (``armed``, ``running``, ``stopping``, ``exited``, ``lost``, ``rebooted`` or ``unknown``), ``exit``
        (the record, or None), ``supervisor`` (process id, or None), ``container`` (what holds the run together:
        ``systemd``, ``session`` or None), ``storage`` (where nodes tell each other of a failure, or None),
        ``processes`` (how many of the job's), ``joined``.
    """
    run_dir = directory(request)
    supervisors, marked = _processes.find(request["run_id"])
    record, happened = exit_record(run_dir), events(run_dir)
    names = [event["event"] for event in happened]
    armed = next((event for event in happened if event["event"] == "armed"), {})
    if record is not None:
        state = "exited"
    elif supervisors:
        state = "stopping" if "stopping" in names else "running" if "started" in names else "armed"
    elif not os.path.isdir(run_dir):
        state = "unknown"
    else:
        # Whoever has the directory had a supervisor; it can have ended without a record only by force.
        state = "lost" if armed.get("boot_id", boot_id()) == boot_id() else "rebooted"
    return {
        "state": state,
        "exit": record,
        "supervisor": supervisors[0] if supervisors else None,
        "container": armed.get("container"),
        "storage": armed.get("storage"),
        "processes": len(marked),
        "joined": names.count("joined"),
    }


def exit_record(run_dir: str) -> Optional[Dict[str, Any]]:
    """Read how a run ended on this node; None while it has not."""
    try:
        with open(os.path.join(run_dir, _processes.RECORD), encoding="utf-8") as stream:
            return dict(json.load(stream))
    except (OSError, ValueError):
        return None


def events(run_dir: str) -> List[Dict[str, Any]]:
    """Read what happened to a run on this node, as far as the disk had room for it."""
    try:
        with open(os.path.join(run_dir, "events.jsonl"), encoding="utf-8") as stream:
            return [json.loads(line) for line in stream if line.endswith("\n")]
    except (OSError, ValueError):
        return []


def is_alive(request: Dict[str, Any]) -> Dict[str, Any]:
    """
    Try whether another node's kernel answers on the network of the job.

    Args:
        request: ``address``, and ``ports``, any of which may be closed: to refuse is an answer too.
    """
    import select

    waiting = []
    for port in request["ports"]:
        probe = socket.socket(socket.AF_INET6 if ":" in request["address"] else socket.AF_INET, socket.SOCK_STREAM)
        probe.setblocking(False)
        probe.connect_ex((request["address"], port))
        waiting.append(probe)
    deadline = time.monotonic() + _ALIVE_SECONDS
    while waiting and time.monotonic() < deadline:
        for probe in select.select([], waiting, [], deadline - time.monotonic())[1]:
            waiting.remove(probe)
            if probe.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) in _ANSWERS:
                return {"alive": True}
    return {"alive": False}


def pack(request: Dict[str, Any], tell: Callable[[Dict[str, Any]], None]) -> Dict[str, Any]:
    """
    Write the run directory as an archive to standard output, after a line that says so.

    It is a gzip stream of frames, each directory before what is in it, each file before its bytes.
    """
    import gzip

    run_dir = directory(request)
    if not os.path.isdir(run_dir):
        return {"failed": True, "msg": "there is no %s" % run_dir}
    tell({"archive": True})
    with open(1, "wb", closefd=False) as out, gzip.GzipFile(fileobj=out, mode="wb", compresslevel=6) as archive:
        for frame in packed(run_dir):
            archive.write(frame)
    os._exit(0)


def packed(run_dir: str) -> Iterator[bytes]:
    """Yield the frames of an archive: what is in a run directory but the supervisor's own."""
    yield from _packed(os.fsencode(run_dir), "", frozenset(map(os.fsencode, _ITS_OWN)))
    yield _wire.encode({"end": True})


def _packed(path: bytes, prefix: str, without: FrozenSet[bytes] = frozenset()) -> Iterator[bytes]:
    """
    Pack files and directories, and nothing else; those of a living run may go at any moment.

    Args:
        without: Names to leave out right there; further down they are the job's.
    """
    try:
        entries = sorted(set(os.listdir(path)) - without)
    except FileNotFoundError:
        return
    for name, entry in _spelled(entries):
        place = os.path.join(path, entry)
        try:
            mode = os.lstat(place).st_mode
            if stat.S_ISDIR(mode):
                yield _wire.encode({"directory": prefix + name})
                yield from _packed(place, prefix + name + "/")
            elif stat.S_ISREG(mode):
                yield from _packed_file(place, prefix + name)
        except FileNotFoundError:
            pass


def _packed_file(path: bytes, name: str) -> Iterator[bytes]:
    # What was a file a moment ago may be a pipe of the job now, which nobody writes to.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb", buffering=0) as stream:
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode):
            yield _wire.encode({"file": name, "time": status.st_mtime})
            for data in iter(lambda: stream.read(_PIECE), b""):
                yield _wire.encode({}, data)


def _spelled(entries: Iterable[bytes]) -> List[Tuple[str, bytes]]:
    """Name files so that every terminal takes the names; no two get the same one."""
    plain, odd = {}, []
    for entry in entries:
        text = entry.decode("utf-8", "backslashreplace")
        if text.isprintable() and text.encode() == entry:
            plain[text] = entry
        else:
            odd.append((text, entry))
    for text, entry in odd:
        shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
        names = (shown[:_SPELLED] + ("~%d" % number if number else "") for number in itertools.count())
        plain[next(name for name in names if name not in plain)] = entry
    return sorted(plain.items())

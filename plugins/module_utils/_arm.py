# SPDX-License-Identifier: Apache-2.0
"""Make one node ready: a run directory, and a supervisor that waits for go. Private to the collection."""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import sys
from typing import Any, Callable, Dict, Optional

from ansible_collections.madctl.multinode.plugins.module_utils import _argv, _proof, _words


def arm(request: Dict[str, Any], tell: Callable[[Dict[str, Any]], None]) -> Dict[str, Any]:
    """
    Take part in the proof, then arm, or say why not.

    Args:
        request: A node of the plan (``run_dir``, ``argv``, ``env``, ``cwd``), what all nodes share (``run_id``,
            ``hostfile``, ``lock``, ``start_timeout`` and ``grace`` in seconds), ``proof``, ``user_env``, and
            ``programs``: the text of every delivered program by file name.
        tell: Gets news of the proof.

    Returns:
        ``pid`` of the supervisor and ``proof``, or ``failed`` with ``msg``.
    """
    proof = _proof.prove(request["proof"], tell)
    environment = dict(request["user_env"], **request["env"])
    spec = {key: request[key] for key in ("run_id", "cwd", "start_timeout", "grace")}
    spec["argv"] = [_words.unpack(word) for word in request["argv"]]
    spec["env"] = {name: _words.unpack(value) for name, value in environment.items()}
    spec["proof_janitors"] = [entry["janitor"] for entry in request["proof"]["written"]]
    spec["unset"] = _argv.stale([name for name in os.environ if name not in environment])
    try:
        lock = _lock(request["run_dir"], request["run_id"]) if request["lock"] else None
        _deliver(request["run_dir"], spec, request["hostfile"], request["programs"])
        return {"pid": _start(request["run_dir"], request["start_timeout"], lock), "proof": proof}
    except FileExistsError:
        return {"failed": True, "msg": "run directory %s exists already" % request["run_dir"]}
    except OSError as error:
        return {"failed": True, "msg": str(error)}


def _lock(run_dir: str, run_id: str) -> int:
    """Take the node for this run; whoever holds the open file holds the node."""
    base = _own_base(run_dir)
    lock = os.open(os.path.join(base, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise OSError("run %s is here" % os.read(lock, 200).decode("utf-8", "replace").strip()) from error
    os.ftruncate(lock, 0)
    os.write(lock, run_id.encode() + b"\n")
    return lock


def _own_base(run_dir: str) -> str:
    """Make the directory that holds run directories, readable by this user only."""
    base = os.path.dirname(run_dir)
    os.umask(0o077)
    if not os.path.isdir(base):
        os.makedirs(base, 0o700)
    if os.lstat(base).st_uid != os.geteuid():
        raise OSError("%s belongs to somebody else" % base)
    return base


def _deliver(run_dir: str, spec: Dict[str, Any], hostfile: str, programs: Dict[str, str]) -> None:
    """Write the run directory; its creation is what makes a run id unique on this node."""
    _own_base(run_dir)
    os.mkdir(run_dir, 0o700)
    for name in ("bin", "logs"):
        os.mkdir(os.path.join(run_dir, name))
    files = {"bin/" + name: text for name, text in programs.items()}
    files.update({"hostfile": hostfile, "spec.json": json.dumps(spec)})
    for name, text in files.items():
        with open(os.path.join(run_dir, name), "w", encoding="utf-8") as stream:
            stream.write(text)


def _start(run_dir: str, seconds: float, lock: Optional[int]) -> int:
    """Start the supervisor and wait until it listens."""
    program = os.path.join(run_dir, "bin", "_supervisor.py")
    argv = [sys.executable, "-I", "-S", "-B", program, run_dir, str(lock or 0)]
    reader, writer = os.pipe()
    null = os.open(os.devnull, os.O_RDWR)
    if lock is not None:
        os.set_inheritable(lock, True)
    actions = [(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, writer, 1), (os.POSIX_SPAWN_DUP2, writer, 2)]
    # A session of its own is the first thing that the supervisor makes.
    pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=actions)
    os.close(writer)
    said = b""
    while not said.endswith(b"ready\n") and select.select([reader], [], [], seconds)[0]:
        piece = os.read(reader, 1 << 16)
        if not piece:
            break
        said += piece
    if said.endswith(b"ready\n"):
        return pid
    os.kill(pid, signal.SIGKILL)
    raise OSError("the supervisor did not start: %s" % said.decode("utf-8", "replace").strip()[-500:])

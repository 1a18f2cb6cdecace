# SPDX-License-Identifier: Apache-2.0
"""Make one node ready: a run directory, and a supervisor that waits for go. Private to the collection."""

from __future__ import annotations

import fcntl
import json
import os
import select
import subprocess
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
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-B", os.path.join(run_dir, "bin", "_supervisor.py"), run_dir, str(lock or 0)],
        pass_fds=[lock] if lock is not None else [],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    ready = select.select([process.stdout], [], [], seconds)[0]
    if ready and process.stdout.readline() == b"ready\n":
        return process.pid
    process.kill()
    raise OSError(
        "the supervisor did not start: %s" % process.communicate()[1].decode("utf-8", "replace").strip()[-500:]
    )

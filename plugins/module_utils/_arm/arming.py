# SPDX-License-Identifier: Apache-2.0
"""Prepare one node: a run directory, and a supervisor that waits for the start. Private to the collection."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._arm import own_code, prove
from ansible_collections.madctl.multinode.plugins.module_utils._common import (
    command_line,
    raw_words,
    run_directory,
    unix_sockets,
)
from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import reason
from ansible_collections.madctl.multinode.plugins.module_utils._node import (
    executables,
    own_sources,
    procfs,
    run_base,
    service,
    small_files,
    stop_mark,
    trees,
)

if TYPE_CHECKING:
    from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import ArmingRequest, MpiSpec, Spec


class _SetupError(OSError):
    """The user's setup failed, rather than our own code."""


def arm(request: ArmingRequest, tell: Callable[[Dict[str, Any]], None]) -> Dict[str, Any]:
    """
    Take part in the proof, then arm the node, or return why that failed.

    Args:
        request: A node of the plan (``run_dir``, ``argv``, ``env``, ``cwd``, ``node_rank``), what all nodes share
            (``run_id``, ``origin``, the id of the first attempt, ``lock``, ``beacon``, ``log_cap`` in bytes,
            ``in_step``, whether this is a scheduler's job, ``start_timeout``, ``timeout`` and ``grace`` in seconds),
            what its runner needs (``files`` by name,
            ``relay`` of daemons or None, ``after``, a program of ours that runs after the job), ``proof``,
            ``user_env``, ``setup`` (what runs first in a shell, or None), ``about`` (the run's description),
            ``programs``: the module of every delivered file, by its path, and ``digest`` of their texts; ``tree``, the
            kept code that the run gets a copy of, or None; ``trees``, where that is kept, if not beside the runs.
        tell: Gets news of the proof, and that the node is armed.

    Returns:
        ``container`` of the supervisor and ``proof``, or ``failed`` with ``msg``, and with ``stopped`` where the run
        was stopped in the meantime.
    """
    proof = prove.prove(request["proof"], tell)
    umask = os.umask(0o077)
    try:
        return _arm(request, tell, umask, proof)
    finally:
        os.umask(umask)


def _arm(
    request: ArmingRequest, tell: Callable[[Dict[str, Any]], None], umask: int, proof: Dict[str, Any]
) -> Dict[str, Any]:
    try:
        base = run_base.own(os.path.dirname(request["run_dir"]))
        programs = _deliver_programs(base, request["digest"], request["programs"])
        os.mkdir(request["run_dir"], 0o700)
    except FileExistsError:
        return _failed(request, "run directory %s exists already" % request["run_dir"])
    except OSError as error:
        return _failed(request, reason(error, is_named=True))
    code = own_code.Code(request["run_dir"], request["origin"], request["tree"], request["trees"])
    try:
        if stop_mark.is_halted(request["run_dir"], request["origin"]):
            raise OSError("the run was stopped")
        code.place()
        kind = _start(request, base, programs, umask)
    except OSError as error:
        failed = _failed(request, reason(error, is_named=True))
        code.give_back()
        trees.erase(request["run_dir"])
        return {**failed, "setup": isinstance(error, _SetupError)}
    try:
        tell({"armed": True})
    except OSError:
        # The launcher was interrupted in the meantime, so the order to start will never come. An armed supervisor exits
        # when its follower hangs up.
        unix_sockets.connect(os.path.join(request["run_dir"], run_directory.CONTROL_SOCKET)).close()
        return {"failed": True, "msg": "the launcher disconnected before the node was ready"}
    return {"container": kind, "proof": proof}


def _failed(request: ArmingRequest, message: str) -> Dict[str, Any]:
    try:
        stopped = stop_mark.is_halted(request["run_dir"], request["origin"])
    except OSError:
        stopped = False
    return {"failed": True, "stopped": stopped, "msg": message}


def _deliver_programs(base: str, digest: str, modules: Dict[str, str]) -> str:
    """
    Write the programs to this node, once for all runs that use the same ones, in a directory named by their content.

    Raises:
        OSError: If that directory holds something else.
    """
    programs = {file: own_sources.text(module) for file, module in modules.items()}
    name = run_directory.PROGRAMS + digest
    place = os.path.join(base, name)
    try:
        os.utime(place)  # It is in use again, so gc must not count it as old.
    except FileNotFoundError:
        partial = "%s.%d" % (place, os.getpid())
        os.mkdir(partial, 0o700)
        for room in sorted({os.path.dirname(file) for file in programs} - {""}):
            os.mkdir(os.path.join(partial, room))
        for file, text in programs.items():
            _write(os.path.join(partial, file), text)
        try:
            os.rename(partial, place)
        except OSError:
            trees.erase(partial)  # Another run was faster.
    if os.lstat(place).st_uid != os.geteuid():
        raise OSError("%s belongs to another user; choose another --run-dir" % place)
    for file, text in programs.items():
        with open(os.path.join(place, file), encoding="utf-8") as stream:
            if stream.read() != text:
                raise OSError("%s/%s was changed; remove %s" % (place, file, place))
    return name


def _start(request: ArmingRequest, base: str, programs: str, umask: int) -> str:
    """Write the run directory, start the supervisor in it and wait until it listens."""
    run_dir = request["run_dir"]
    os.mkdir(os.path.join(run_dir, run_directory.LOGS))
    os.symlink(os.path.join("..", programs), os.path.join(run_dir, run_directory.BIN))
    about = dict(request["about"], created=time.time())
    for name, text in {**request["files"], run_directory.DESCRIPTION: json.dumps(about)}.items():
        _write(os.path.join(run_dir, name), text)
    fifo_path = os.path.join(run_dir, run_directory.READY)
    os.mkfifo(fifo_path, 0o600)
    fifo = os.open(fifo_path, os.O_RDONLY | os.O_NONBLOCK)
    argv = [*_program(os.path.join(base, programs), run_directory.SUPERVISOR), run_dir]
    spec = _spec(request, base, os.path.join(base, programs), umask)
    _write(os.path.join(run_dir, run_directory.SPEC), json.dumps(spec))
    kind, pid, refused = service.start(argv, request["run_id"], request["grace"], request["in_step"])
    said = service.wait_ready(fifo, pid, request["start_timeout"])
    os.close(fifo)
    if said.startswith(run_directory.SETUP_FAILED):
        raise _SetupError(said[len(run_directory.SETUP_FAILED) :])
    if said != "ready":
        log = small_files.text(os.path.join(run_dir, run_directory.SUPERVISOR_LOG)) or "it wrote nothing"
        raise OSError(said or "the supervisor did not start: %s" % log.splitlines()[-1][-300:])
    os.unlink(fifo_path)
    return "%s (systemd: %s)" % (kind, refused) if refused else kind


def _program(programs: str, name: str) -> List[str]:
    """Return the command of a delivered program; ``processes`` recognises a supervisor by it."""
    return [sys.executable, "-I", "-S", os.path.join(programs, run_directory.LAUNCHER), name]


def _spec(request: ArmingRequest, base: str, programs: str, umask: int) -> Spec:
    """Return everything that the supervisor needs to know; it removes the file with it before it starts anything."""
    given = dict(request["user_env"], **request["env"])
    stale = command_line.stale(list(os.environ))
    environment = {name: value for name, value in os.environ.items() if name not in stale}
    environment.update({name: raw_words.unpack(value) for name, value in given.items()})
    argv = [raw_words.unpack(word) for word in request["argv"]]
    beside = os.path.join(os.path.dirname(request["python"]), "py-spy")
    found = beside if os.access(beside, os.X_OK) else executables.which("py-spy", environment.get("PATH"))
    return {
        "run_id": request["run_id"],
        "origin": request["origin"],
        "node_rank": request["node_rank"],
        "cwd": request["cwd"],
        "start_timeout": request["start_timeout"],
        "timeout": request["timeout"],
        "grace": request["grace"],
        "beacon": request["beacon"],
        "log_cap": request["log_cap"],
        "in_step": request["in_step"],
        "samples": request["samples"],
        "argv": argv,
        "env": environment,
        "lock": os.path.join(base, run_directory.LOCK) if request["lock"] else None,
        "proof_janitors": [entry["janitor"] for entry in request["proof"]["written"]],
        "boot_id": procfs.boot_id(),
        "oom_score": small_files.text("/proc/self/oom_score_adj") or "0",
        "py_spy": found,
        "setup": request["setup"],
        "mpi": _relay(request),
        "after": [*_program(programs, request["after"]), request["run_id"]] if request["after"] else None,
        "umask": umask,
        "limits": {},
    }


def _relay(request: ArmingRequest) -> Optional[MpiSpec]:
    """Return this node's part in starting daemons, with the address of every node by name."""
    about, relay = request["about"], request["relay"]
    return {**relay, "places": dict(zip(about["hosts"], about["addresses"]))} if relay else None


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)

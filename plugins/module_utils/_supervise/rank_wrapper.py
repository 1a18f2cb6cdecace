# SPDX-License-Identifier: Apache-2.0
"""
Run one rank's program and report to the supervisor when it joined and how it ended.

The runner starts ``python3 -I -S rank_wrapper.py PROGRAM ARGS…`` for every rank: a file that imports none of our
modules, so that a rank starts without delay. The program's output goes through pipes to the supervisor, so that a full
disk or a flood of lines never blocks it, and its exit status is reported unchanged. Private to the collection.

mpirun has one command line for all nodes, and mistakes some words of a program for its own. So a file on each node
specifies what its ranks execute, and which Python runs scripts. mpirun gets the variables of a scheduler's job under
other names, since it would ask the scheduler for nodes; ranks get them under their original names.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import resource
import signal
import socket
import sys
import time
from typing import Any, Dict, List, MutableMapping, Optional

PR_SET_PDEATHSIG = 1
F_SETPIPE_SZ = 1031
PIPE_BYTES = 1 << 20  # Fewer wake-ups for programs that print a lot.
ERROR_CHARACTERS, PATH_CHARACTERS = 2000, 4096
HELD = "MADCTL_HELD_"
LAST_SECONDS = 2.0  # for processes of the program that keep its output open
# The runner signals the whole process group, so the program gets these itself.
LEFT_TO_PROGRAM = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


# The variables of Open MPI and MPICH win over torchrun's.
_NAMES = {
    "rank": ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "RANK"),
    "local_rank": ("OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "LOCAL_RANK"),
    "world_size": ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "WORLD_SIZE"),
    "local_world_size": ("OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "LOCAL_WORLD_SIZE"),
}


def identity(environment: Dict[str, str]) -> Dict[str, Any]:
    """Read rank, local rank and both sizes of the world from what the runner set."""
    return {
        key: next((int(environment[name]) for name in names if name in environment), None)
        for key, names in _NAMES.items()
    }


def instructions() -> Dict[str, Any]:
    """Read what this node's ranks have to know; nothing if torchrun sets everything."""
    try:
        with open(os.path.join(os.environ["MADCTL_RUN_DIR"], "ranks.json"), encoding="utf-8") as stream:
            return dict(json.load(stream))
    except FileNotFoundError:
        return {}


def program(words: List[str], job: Dict[str, Any]) -> List[str]:
    """Return what this rank executes; under mpirun, set the variables that torch reads for a Python script."""
    if not job:
        return words
    argv = words or job["argv"]
    if argv[0] == "-m" or argv[0].endswith(".py"):
        argv = [job["python"], *argv]
    if argv[0] == job["python"] or os.path.basename(argv[0]).startswith("python"):
        found = identity(dict(os.environ))
        os.environ.update({key.upper(): str(value) for key, value in found.items() if value is not None})
    return list(argv)


def give_back(environment: MutableMapping[str, str]) -> None:
    """Restore the names of the variables that mpirun must not see."""
    for name in [name for name in environment if name.startswith(HELD)]:
        environment[name[len(HELD) :]] = environment.pop(name)


def start(argv: List[str], out: int, err: int, failed: int) -> int:
    """Fork the program with its output on two pipes; the errno of a failed exec goes to ``failed``."""
    parent = os.getpid()
    libc = ctypes.CDLL(None)
    pid = os.fork()
    if pid:
        return pid
    try:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        for number in LEFT_TO_PROGRAM:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.execvp(argv[0], argv)
    except OSError as error:
        os.write(failed, str(error.errno).encode())
    os._exit(127)


def error_text(path: Optional[str]) -> Optional[str]:
    """Read the message in a program's error file, as torch's ``record`` decorator writes it."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        with open(path or "", encoding="utf-8", errors="replace") as stream:
            found = json.loads(stream.read(1 << 20))["message"]
        said = str(found["message"] if isinstance(found, dict) else found)[:ERROR_CHARACTERS]
        return said.encode("utf-8", "replace").decode()
    return None


def _is_taken(supervisor: socket.socket) -> bool:
    """Wait for the supervisor's answer, and return whether it accepts the program's output."""
    with contextlib.suppress(OSError):
        return supervisor.recv(1) == b"+"
    return False


def _pass_on(source: int, target: int, also: Optional[int] = None) -> Any:
    """Pass the program's output on as our own, for the runner's log, and copy it to the supervisor."""
    import threading  # Slow to import, and only needed in containers, or where descriptors are scarce.

    def copy() -> None:
        copies = [] if also is None else [also]
        try:
            while True:
                data = os.read(source, 1 << 16)
                if not data:
                    break
                try:
                    _write(copies, data)
                except OSError:
                    copies = []  # The supervisor has ended.
                _write([target], data)
        except OSError:
            os.close(source)  # The program notices this as it would without us.
        for descriptor in [] if also is None else [also]:
            os.close(descriptor)

    thread = threading.Thread(target=copy, daemon=True)
    thread.start()
    return thread


def _write(targets: List[int], data: bytes) -> None:
    for target in targets:
        rest = data
        while rest:
            rest = rest[os.write(target, rest) :]


def exit_like(status: int) -> None:
    """End as the program ended, with the same signal or exit code."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.WEXITSTATUS(status))


def connected(argv: List[str], may_fail: bool) -> socket.socket:
    """Connect to the supervisor; in a container that cannot reach it, run the program uncounted."""
    supervisor = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # The path may be too long for a socket's name; a descriptor's never is.
    run_dir = os.open(os.environ["MADCTL_RUN_DIR"], os.O_RDONLY | os.O_DIRECTORY)
    try:
        supervisor.connect("/proc/self/fd/%d/ranks.sock" % run_dir)
    except OSError:
        if not may_fail:
            raise
        for number in LEFT_TO_PROGRAM:
            signal.signal(number, signal.SIG_DFL)
        os.execvp(argv[0], argv)
    os.close(run_dir)
    return supervisor


def ended(status: int) -> Dict[str, Any]:
    """Return the message that a program has ended."""
    code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
    ended_by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
    found: Dict[str, Any] = {"event": "rank_exit", "time": time.time(), "exit_code": code, "signal": ended_by}
    if status:
        found["error"] = error_text(os.environ.get("TORCHELASTIC_ERROR_FILE"))
    return found


def main() -> None:
    """Join, run, report."""
    give_back(os.environ)
    job = instructions()
    argv, is_copied = program(sys.argv[1:], job), bool(job.get("passes_output"))
    for number in LEFT_TO_PROGRAM:
        signal.signal(number, signal.SIG_IGN)
    supervisor = connected(argv, is_copied)
    (out, out_end), (err, err_end), (failure, failed) = os.pipe(), os.pipe(), os.pipe()
    for pipe in (out, err):
        with contextlib.suppress(OSError):  # The user's limit of such memory is reached.
            fcntl.fcntl(pipe, F_SETPIPE_SZ, PIPE_BYTES)
    pid = start(argv, out_end, err_end, failed)
    for descriptor in (out_end, err_end, failed):
        os.close(descriptor)
    cause = os.read(failure, 16)
    hello = dict(identity(dict(os.environ)), event="joined", pid=pid, argv0=argv[0][:PATH_CHARACTERS])
    if cause:
        hello.update(event="exec_failed", errno=int(cause), reason=errno.errorcode.get(int(cause), "?"))
    shown = [os.pipe(), os.pipe()] if is_copied else []
    given = [ends[0] for ends in shown] or [out, err]
    rights = b"".join(descriptor.to_bytes(4, sys.byteorder) for descriptor in given)
    message = json.dumps(hello).encode() + b"\n"
    supervisor.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    is_taken = _is_taken(supervisor)
    for ends in shown:
        os.close(ends[0])
    if is_copied:
        kept = [_pass_on(out, 1, shown[0][1]), _pass_on(err, 2, shown[1][1])]
    else:
        kept = [] if is_taken else [_pass_on(out, 1), _pass_on(err, 2)]
    if not kept:
        os.close(out)
        os.close(err)
    status = os.waitpid(pid, 0)[1]
    for thread in kept:
        thread.join(LAST_SECONDS)
    with contextlib.suppress(OSError):  # The supervisor is gone; the runner still gets the status from this process.
        supervisor.sendall(json.dumps(ended(status)).encode() + b"\n")
    exit_like(status)


if __name__ == "__main__":
    main()

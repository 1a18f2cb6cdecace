# SPDX-License-Identifier: Apache-2.0
"""
Start a supervisor in a container that outlives the connection. Private to the collection.

Where systemd runs the host, a transient service: the kernel knows everything that belongs to it,
and systemd ends all of it even when the supervisor is killed. Elsewhere a session of its own, which
the supervisor empties by descent and by the run's id.
"""

from __future__ import annotations

import gc
import importlib
import os
import resource
import select
import signal
import sys
import time
from typing import Dict, List, Optional, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._node import executables, own_sources, title

LIMITS = {
    "LimitNOFILE": resource.RLIMIT_NOFILE,
    "LimitMEMLOCK": resource.RLIMIT_MEMLOCK,
    "LimitCORE": resource.RLIMIT_CORE,
    "LimitSTACK": resource.RLIMIT_STACK,
    "LimitNPROC": resource.RLIMIT_NPROC,
}
# The service's own end comes after the supervisor's: runner's grace, two sweeps, and some room.
STOP_MARGIN_SECONDS = 30
_SYSTEMD_SECONDS = 20.0
_DESCRIPTORS = 1024  # more than an agent has


def systemd() -> Optional[List[str]]:
    """Give the command that makes a service of ours last beyond this login, or None where there is none."""
    if not os.path.isdir("/run/systemd/system") or not executables.which("systemd-run"):
        return None
    if os.geteuid() == 0:
        return ["systemd-run"]
    import pwd

    # A user's services end with the user's last login, unless the user lingers.
    name = pwd.getpwuid(os.geteuid()).pw_name
    needed = ["/run/user/%d/systemd/private" % os.geteuid(), "/var/lib/systemd/linger/" + name]
    return ["systemd-run", "--user"] if all(map(os.path.exists, needed)) else None


def start(argv: List[str], run_id: str, grace: float) -> Tuple[str, Optional[int], str]:
    """
    Start a supervisor.

    Returns:
        The kind of container (``systemd`` or ``session``), the process id where it is a child of ours, and
        why it is no service where systemd refused to make one.
    """
    command, refused = systemd(), ""
    if command:
        refused = _service(command, argv, run_id, grace)
        if not refused:
            return "systemd", None, ""
    # A session of its own is among the first things that the supervisor makes.
    return "session", _forked(argv) if own_sources.is_installed() else _executed(argv), refused


def _executed(argv: List[str]) -> int:
    null = os.open(os.devnull, os.O_RDWR)
    actions = [(os.POSIX_SPAWN_DUP2, null, descriptor) for descriptor in (0, 1, 2)]
    return os.posix_spawn(argv[0], argv, os.environ, file_actions=actions)


def _forked(argv: List[str]) -> int:
    """Be that program in a child of this warm interpreter, which has all that it needs: no second Python starts."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        os.closerange(3, _DESCRIPTORS)
        gc.enable()
        if not title.become(argv):
            os.execv(argv[0], argv)
        name, sys.argv = argv[-2], argv[-2:]
        importlib.import_module("%s._supervise.%s" % (own_sources.PACKAGE, name)).main()
        code = 0
    except Exception:  # noqa: BLE001  as Python does with a program of its own
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


def _service(command: List[str], argv: List[str], run_id: str, grace: float) -> str:
    properties = {
        "Type": "exec",
        # The supervisor is told, and ends the job in order; what is left then is killed.
        "KillMode": "mixed",
        "SendSIGKILL": "yes",
        "TimeoutStopSec": str(int(grace) + STOP_MARGIN_SECONDS),
        "OOMPolicy": "continue",
        "TasksMax": "infinity",
    }
    for name, limit in LIMITS.items():
        properties[name] = ":".join("infinity" if v < 0 else str(v) for v in resource.getrlimit(limit))
    import subprocess  # Slow to import, and not needed on a node without systemd.

    unit = run_directory.unit(run_id)
    words = [word for name, value in properties.items() for word in ("-p", "%s=%s" % (name, value))]
    environment: Dict[str, str] = dict(os.environ)
    environment.setdefault("XDG_RUNTIME_DIR", "/run/user/%d" % os.geteuid())
    try:
        done = subprocess.run(
            # In a service's command line, a dollar sign begins a variable.
            [*command, "--quiet", "--unit", unit, *words, "--", *(word.replace("$", "$$") for word in argv)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
            timeout=_SYSTEMD_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if done.returncode == 0 else done.stderr.decode("utf-8", "replace").strip() or "it failed"


def wait_ready(fifo: int, pid: Optional[int], seconds: float) -> str:
    """Wait for a supervisor's first word and give it; empty when it ended, or was silent for too long."""
    deadline = time.monotonic() + seconds
    said = b""
    while not said.endswith(b"\n") and time.monotonic() < deadline:
        if select.select([fifo], [], [], 0.1)[0]:
            piece = os.read(fifo, 1 << 16)
            said += piece
            if piece:
                continue
            time.sleep(0.01)  # Nobody has opened the other side yet.
        if pid is not None and os.waitpid(pid, os.WNOHANG)[0]:
            return said.decode("utf-8", "replace").strip()
    if not said.endswith(b"\n") and pid is not None:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return said.decode("utf-8", "replace").strip()


def forget(run_id: str) -> None:
    """Have systemd stop and forget the service of a run that is over, whatever became of its supervisor."""
    command = systemd()
    if command is None:
        return
    import subprocess

    control = ["systemctl", *command[1:]]
    for verb in ("stop", "reset-failed"):
        subprocess.run(
            [*control, verb, run_directory.unit(run_id)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_SYSTEMD_SECONDS,
        )

# SPDX-License-Identifier: Apache-2.0
"""
Start a supervisor in a container that outlives the connection. Private to the collection.

On hosts with systemd, that is a transient service: the kernel tracks everything that belongs to it, and systemd ends
all of it even if the supervisor is killed. On other hosts, it is a new session, whose processes the supervisor finds by
descent and by the run's id.
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
from typing import List, Optional, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import reason
from ansible_collections.madctl.multinode.plugins.module_utils._node import executables, own_sources, title

LIMITS = {
    "LimitNOFILE": resource.RLIMIT_NOFILE,
    "LimitMEMLOCK": resource.RLIMIT_MEMLOCK,
    "LimitCORE": resource.RLIMIT_CORE,
    "LimitSTACK": resource.RLIMIT_STACK,
    "LimitNPROC": resource.RLIMIT_NPROC,
}
# The service ends later than the supervisor: after the runner's grace, two sweeps, and a margin.
STOP_MARGIN_SECONDS = 30
_SYSTEMD_SECONDS = 20.0
_DESCRIPTORS = 1024  # more than an agent has


def systemd() -> Optional[List[str]]:
    """Return the command that starts a service that outlives this login, or None if that is not possible."""
    if not os.path.isdir("/run/systemd/system") or not executables.which("systemd-run"):
        return None
    if os.geteuid() == 0:
        return ["systemd-run"]
    import pwd

    # A user's services end with the user's last login, unless lingering is enabled.
    name = pwd.getpwuid(os.geteuid()).pw_name
    needed = ["/run/user/%d/systemd/private" % os.geteuid(), "/var/lib/systemd/linger/" + name]
    return ["systemd-run", "--user"] if all(map(os.path.exists, needed)) else None


def start(argv: List[str], run_id: str, grace: float, in_step: bool) -> Tuple[str, Optional[int], str]:
    """
    Start a supervisor.

    Args:
        in_step: Whether it is part of a scheduler's job, which a systemd service would escape.

    Returns:
        The kind of container (``systemd``, ``session`` or ``step``), the process id if it is our child, and why systemd
        refused to start a service, if it did.
    """
    command, refused = None if in_step else systemd(), ""
    if command:
        refused = _service(command, argv, run_id, grace)
        if not refused:
            return "systemd", None, ""
    # The supervisor creates its own session as one of its first steps.
    kind = "step" if in_step else "session"
    return kind, _forked(argv) if own_sources.is_installed() else executables.spawn(argv), refused


def _forked(argv: List[str]) -> int:
    """Run a program in a child of this warm interpreter, which has everything it needs, so no second Python starts."""
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
    except Exception:  # noqa: BLE001  as Python does at the end of a program
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


def _service(command: List[str], argv: List[str], run_id: str, grace: float) -> str:
    properties = {
        "Type": "exec",
        # The supervisor is notified, and ends the job gracefully; whatever is left after that is killed.
        "KillMode": "mixed",
        "SendSIGKILL": "yes",
        "TimeoutStopSec": str(int(grace) + STOP_MARGIN_SECONDS),
        "OOMPolicy": "continue",
        "TasksMax": "infinity",
    }
    for name, limit in LIMITS.items():
        properties[name] = ":".join("infinity" if v < 0 else str(v) for v in resource.getrlimit(limit))
    words = [word for name, value in properties.items() for word in ("-p", "%s=%s" % (name, value))]
    # In a service's command line, a dollar sign begins a variable.
    program = [word.replace("$", "$$") for word in argv]
    return _call([*command, "--quiet", "--unit", run_directory.unit(run_id), *words, "--", *program])


def _call(argv: List[str]) -> str:
    """Call systemd, and return why that failed; empty if it did not."""
    import subprocess  # Slow to import, and not needed on a node without systemd.

    environment = {"XDG_RUNTIME_DIR": "/run/user/%d" % os.geteuid(), **os.environ}
    null = subprocess.DEVNULL
    try:
        done = subprocess.run(
            argv, stdin=null, stdout=null, stderr=subprocess.PIPE, env=environment, timeout=_SYSTEMD_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return reason(error, is_named=True)
    return "" if done.returncode == 0 else done.stderr.decode("utf-8", "replace").strip() or "it failed"


def wait_ready(fifo: int, pid: Optional[int], seconds: float) -> str:
    """Wait for a supervisor's first line and return it; empty if it ended, or wrote nothing in time."""
    deadline = time.monotonic() + seconds
    said = b""
    while not said.endswith(b"\n") and time.monotonic() < deadline:
        if select.select([fifo], [], [], 0.1)[0]:
            piece = os.read(fifo, 1 << 16)
            said += piece
            if piece:
                continue
            time.sleep(0.01)  # The other end is not open yet.
        if pid is not None and os.waitpid(pid, os.WNOHANG)[0]:
            return said.decode("utf-8", "replace").strip()
    if not said.endswith(b"\n") and pid is not None:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return said.decode("utf-8", "replace").strip()


def forget(run_id: str) -> None:
    """Have systemd stop and forget the service of a run that is over, whatever happened to its supervisor."""
    command = systemd()
    for verb in ("stop", "reset-failed") if command else ():
        _call(["systemctl", *(command or [])[1:], verb, run_directory.unit(run_id)])

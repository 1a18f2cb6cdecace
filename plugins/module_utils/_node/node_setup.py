# SPDX-License-Identifier: Apache-2.0
"""
Run the user's setup in a shell on a node, and record what it leaves to the processes that start after it.

That is what a child inherits from its shell: environment, directory, umask and limits. So the setup runs once, before
anything is started on any node, and no word of the job ever passes through a shell. Delivered beside the supervisor;
private to the collection.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._node import executables

# The text gets no arguments: scripts that it sources would take the job's arguments for their own. The first command
# that fails ends it, but commands inside functions and sourced files may fail, which "set -e" would not allow. All of
# it is on the first line, because shells number the lines of the text from there in error messages.
_BASH = """\
madctl_text=$1 madctl_words=("${@:2}"); set --; \
trap 'madctl_status=$?; [ "${#BASH_SOURCE[@]}" -gt 0 ] || exit "$madctl_status"' ERR; \
eval "$madctl_text"
trap - ERR
exec "${madctl_words[@]}"
"""
_SH = """\
madctl_text=$1; shift; set -e; madctl_setup() { eval "$madctl_text"; }; madctl_setup
exec "$@"
"""
# The environment as the shell left it, before this Python changed any of it.
_REPORT = """
import json, os, resource, sys
with open('/proc/self/environ', 'rb') as stream:
    entries = stream.read().decode('utf-8', 'surrogateescape').split('\\0')
umask = os.umask(0)
limits = {name: resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith('RLIMIT_')}
found = {'env': dict(entry.split('=', 1) for entry in entries if '=' in entry), 'cwd': os.getcwd(), 'umask': umask,
         'limits': limits}
with os.fdopen(int(sys.argv[1]), 'w') as stream:
    stream.write(json.dumps(found) + '\\n')
"""
_MOST_BYTES = 1 << 23  # of the report
KEPT_BYTES = 1 << 20  # of each stream of output, the newest
_LINES, _LINE_CHARACTERS = 2, 300
_LOOK_SECONDS = 0.05
_OF_SHELLS = ("_", "SHLVL")


class SetupError(OSError):
    """The setup did not complete."""


class Left(NamedTuple):
    """The effects of a setup: limits are those that it changed, by their names; ``out`` and ``err`` are its output."""

    env: Dict[str, str]
    cwd: str
    umask: int
    limits: Dict[str, List[int]]
    out: bytes
    err: bytes


def run(
    asked: Mapping[str, Any],
    cwd: str,
    environment: Mapping[str, str],
    become: Callable[[], None] = lambda: None,
) -> Left:
    """
    Run a setup.

    Args:
        asked: ``text``, ``login``, whether the shell is a login shell, and ``seconds``, how long it may take.
        become: What the shell does first.

    Raises:
        SetupError: If it fails, or takes longer; then it is killed with what it started.
    """
    reader, writer = os.pipe()
    before = {name: list(resource.getrlimit(getattr(resource, name))) for name in _limits()}
    try:
        shell = _start(asked, cwd, environment, writer, become)
    except (OSError, subprocess.SubprocessError) as error:
        os.close(reader)
        raise SetupError("the setup cannot be run: %s" % error) from error
    finally:
        os.close(writer)
    said, has_ended = _listen(shell, reader, time.monotonic() + asked["seconds"])
    if not has_ended:
        _kill(shell)
        raise SetupError("the setup did not end in %g s%s" % (asked["seconds"], _last(said[1], said[2])))
    report = _report(said[0])
    if report is None or shell.returncode:
        _kill(shell)
        raise SetupError("the setup failed: %s%s" % (_how(shell.returncode), _last(said[1], said[2])))
    env = {name: value for name, value in report["env"].items() if name not in _OF_SHELLS}
    env.update({name: environment[name] for name in _OF_SHELLS if name in environment})
    changed = {name: limit for name, limit in report["limits"].items() if before.get(name) != limit}
    return Left(env, report["cwd"], report["umask"], changed, said[1], said[2])


def marked(env: Mapping[str, str], before: Mapping[str, str]) -> Dict[str, str]:
    """Return an environment with a run's marks as they were: without them its processes are not found."""
    return {**env, **{name: before[name] for name in run_directory.MARKS if name in before}}


def _limits() -> List[str]:
    return [name for name in dir(resource) if name.startswith("RLIMIT_")]


def _start(
    asked: Mapping[str, Any], cwd: str, environment: Mapping[str, str], writer: int, become: Callable[[], None]
) -> subprocess.Popen[bytes]:
    search = environment.get("PATH")
    bash = executables.which("bash", search) or executables.which("bash", os.defpath)
    shell = bash or executables.which("sh", search) or "/bin/sh"
    report = [sys.executable, "-I", "-S", "-c", _REPORT, str(writer)]
    login = ["-l"] if asked["login"] else []

    def first() -> None:
        os.setpgid(0, 0)  # In the caller's session, so it ends with that session if the caller is a call of an agent.
        become()

    return subprocess.Popen(
        [shell, *login, "-c", _BASH if bash else _SH, "setup", asked["text"], *report],
        cwd=cwd,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=[writer],
        preexec_fn=first,
    )


def _listen(shell: subprocess.Popen[bytes], reader: int, deadline: float) -> Tuple[List[bytes], bool]:
    """
    Read the report and the output of a shell until it has ended, and return both, and whether it ended in time.

    Background processes that it leaves may keep these pipes open.
    """
    assert shell.stdout is not None and shell.stderr is not None
    pipes, most = [reader, shell.stdout.fileno(), shell.stderr.fileno()], [_MOST_BYTES, KEPT_BYTES, KEPT_BYTES]
    said, is_open = [b"", b"", b""], dict.fromkeys(pipes, True)
    has_ended = False
    while True:
        left = deadline - time.monotonic()
        wait = 0.0 if has_ended else max(0.0, min(left, _LOOK_SECONDS))
        ready = select.select([pipe for pipe in pipes if is_open[pipe]], [], [], wait)[0]
        for at, pipe in enumerate(pipes):
            if pipe in ready:
                piece = os.read(pipe, 1 << 16)
                is_open[pipe] = bool(piece)
                said[at] = (said[at] + piece)[-most[at] :]
        if has_ended and (not ready or left <= 0):
            break
        has_ended = has_ended or shell.poll() is not None
        if left <= 0 and not has_ended:
            break
        if not any(is_open.values()) and not has_ended:
            time.sleep(_LOOK_SECONDS)  # It has closed its output and is still running.
    os.close(reader)
    for stream in (shell.stdout, shell.stderr):
        stream.close()
    return said, has_ended


def _report(said: bytes) -> Optional[Dict[str, Any]]:
    if not said.endswith(b"\n"):
        return None  # It ended itself, or became another program.
    try:
        return dict(json.loads(said))
    except ValueError:
        return None


def _how(status: int) -> str:
    if status < 0:
        return "signal %d" % -status
    return "exit code %d" % status if status else "it ended its shell"


def _last(out: bytes, err: bytes) -> str:
    """Return the last lines of the output, errors first."""
    for text in (err, out):
        lines = [line.strip() for line in text.decode("utf-8", "replace").splitlines() if line.strip()]
        if lines:
            return ": " + " | ".join(lines[-_LINES:])[-_LINE_CHARACTERS:]
    return ""


def _kill(shell: subprocess.Popen[bytes]) -> None:
    """Kill a shell and the remaining processes of its group."""
    try:
        os.killpg(shell.pid, signal.SIGKILL)
    except OSError:
        pass  # No process is left.
    shell.wait()

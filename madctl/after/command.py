# SPDX-License-Identifier: Apache-2.0
"""Run the user's command after the end of a run: it reads the result from stdin, and we print its output."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import tempfile
import threading
import time
from typing import IO

from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import reason
from ansible_collections.madctl.multinode.plugins.module_utils._common.run_directory import RUN_ID
from ansible_collections.madctl.multinode.plugins.module_utils._show.sentences import Sentence
from madctl.result import Result, to_json
from madctl.screen import terminal

SECONDS = 60.0
# How long it has to end after SIGTERM, and how long we wait for the last of its output.
_GRACE_SECONDS, _LAST_SECONDS = 2.0, 2.0
_MOST_BYTES = 64 << 10
_PIECE_BYTES = 16 << 10
_LOOK_SECONDS = 0.1
_PREFIX = RUN_ID.removesuffix("ID")


def run(line: str, result: Result, name: str | None, leaving: threading.Event, seconds: float = SECONDS) -> str | None:
    """
    Run a shell command line, and return what went wrong, if anything.

    Args:
        result: What the command reads, as one JSON object.
        name: The user's name for the run.
        leaving: Set to end the command early.
        seconds: How long the command may take.
    """
    # A process with this variable in its environment counts as one of the run's, and would be stopped with it.
    script = f"{RUN_ID}={shlex.quote(result.run_id or '')}; {line}"
    try:
        with tempfile.TemporaryFile() as given:
            given.write(to_json(result).encode() + b"\n")
            given.seek(0)
            process = subprocess.Popen(
                ["sh", "-c", script],
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=_environment(result, name),
                # Its children can be killed with it, and Ctrl-C reaches only us.
                start_new_session=True,
            )
    except (OSError, ValueError) as error:
        return f"the command could not be started: {reason(error)}"
    assert process.stdout is not None
    output = _Output(process.stdout)
    output.start()
    deadline = time.monotonic() + seconds
    while process.poll() is None and not leaving.is_set() and time.monotonic() < deadline:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_LOOK_SECONDS)
    code = process.returncode
    if code is None:
        _kill(process)
    # A process that it left running may hold the pipe open.
    output.join(_LAST_SECONDS)
    terminal.tell(*(Sentence("on-end", text) for text in output.lines()))
    if code is None:
        return (
            "interrupted" if leaving.is_set() else f"the command did not end within {seconds:.0f} s, so it was killed"
        )
    how = f"ended with exit code {code}" if code >= 0 else f"was killed by signal {-code}"
    return f"the command {how}" if code else None


def _environment(result: Result, name: str | None) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if name != RUN_ID}
    about = {"NAME": name or "", "STATUS": result.status, "EXIT_CODE": str(int(result.exit_code))}
    return {**own, **{f"{_PREFIX}{word}": value for word, value in about.items()}}


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a command and all of its descendants that are still in its process group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    # A process that hangs in the kernel cannot be killed.
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE_SECONDS)


class _Output(threading.Thread):
    """Keeps the beginning of a pipe's output, and reads all of it, so that the writer never blocks."""

    def __init__(self, pipe: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self._pipe, self._kept, self._is_cut = pipe, b"", False

    def run(self) -> None:
        """Read to the end."""
        while piece := os.read(self._pipe.fileno(), _PIECE_BYTES):
            room = _MOST_BYTES - len(self._kept)
            self._is_cut = self._is_cut or len(piece) > room
            self._kept += piece[:room]

    def lines(self) -> list[str]:
        """Return the lines that were kept so far."""
        found = self._kept.decode(errors="replace").splitlines()
        return [*found, f"… only the first {_MOST_BYTES >> 10} KiB are shown"] if self._is_cut else found

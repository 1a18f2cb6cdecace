# SPDX-License-Identifier: Apache-2.0
"""
Type commands into a shell on its own terminal, and record what the terminal shows as an asciicast 2.

It runs inside the shell of ``record.py``, which can reach the hosts: ``python -m docs.recordings.capture demo``.
"""

import fcntl
import json
import os
import pty
import select
import struct
import sys
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass

from docs.recordings.scenes import SCENES, Scene

# Emitted before each prompt; terminals do not show it.
_PROMPT = b"\x1b]133;A\x07"
_SHELL = ["bash", "--noprofile", "--norc", "-i"]
_ENVIRONMENT = {
    "PS1": r"\[\e]133;A\a\e[32m\]$\[\e[0m\] ",
    "TERM": "xterm-256color",
    "NO_COLOR": "",
    "HISTFILE": "",
    "INPUTRC": "/dev/null",
}
_BETWEEN_KEYS, _LONGEST_SILENCE = 0.03, 120.0


@dataclass(frozen=True)
class Event:
    """A piece of terminal output, and the seconds from the start to its arrival."""

    at: float
    data: bytes


def capture(scene: Scene) -> Iterator[Event]:
    """Yield the terminal output while the commands of a scene are typed."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(_SHELL[0], _SHELL, {**os.environ, **_ENVIRONMENT})
    columns, rows = scene.size
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    start = time.monotonic()
    try:
        yield from _until_prompt(terminal, start)
        for command in scene.typed:
            for key in command:
                os.write(terminal, key.encode())
                time.sleep(_BETWEEN_KEYS)
                yield Event(time.monotonic() - start, os.read(terminal, 4096))
            os.write(terminal, b"\r")
            yield from _until_prompt(terminal, start)
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)


def _until_prompt(terminal: int, start: float) -> Iterator[Event]:
    seen = b""
    while _PROMPT not in seen or not seen.endswith(b" "):
        if not select.select([terminal], [], [], _LONGEST_SILENCE)[0]:
            raise TimeoutError(f"no prompt after {seen[-500:]!r}")
        data = os.read(terminal, 65536)
        seen += data
        yield Event(time.monotonic() - start, data)


def write(scene: Scene) -> None:
    """Record a scene to its file."""
    columns, rows = scene.size
    header = {"version": 2, "width": columns, "height": rows, "title": scene.title}
    lines = [json.dumps(header)]
    pending = b""
    for event in capture(scene):
        # A read may end in the middle of a character.
        pending += event.data
        try:
            text = pending.decode()
        except UnicodeDecodeError:
            continue
        pending = b""
        lines.append(json.dumps([round(event.at, 3), "o", text], ensure_ascii=False))
    scene.cast.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    for one in SCENES:
        if one.name in sys.argv[1:]:
            write(one)

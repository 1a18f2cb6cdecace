# SPDX-License-Identifier: Apache-2.0
"""
A reader's shell, which types what a document shows, and a lab that only it can see.

The shell has mounts and processes of its own, so the lab may be called ``lab`` and the configuration of ssh may be
written, whatever else runs on this machine; with the shell, everything that it started ends.
"""

import contextlib
import os
import re
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from madctl.lab import state

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
# Where labs are.
LABS = (state.ROOT.parent, state.SHARED_ROOT.parent)
# Where ssh looks for files, whatever HOME is.
SSH = Path("/root/.ssh")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
_FILE = re.compile(r"`([^`\s]+)`[^`\n]*:\n\n\Z")
# What may differ from run to run: ids, times, addresses, ports, and how far a column stands from the next.
_LOOSE = (
    (r"\d{8}-\d{6}-[0-9a-f]+", "RUNID"),
    (r"\d+(?:\.\d+){3}", "ADDRESS"),
    (r"(\bport |ADDRESS:)\d+", r"\1PORT"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d", "TIME"),
    (r"\d+(?:\.\d+)? (?:s|min)\b", "DURATION"),
    (r"\s+", " "),
)


@dataclass(frozen=True)
class Command:
    """What a reader types, and what the document shows as the answer."""

    line: int
    text: str
    shown: tuple = ()

    @property
    def fails(self):
        """Whether the document shows that it ends with an error."""
        return any(re.match(r"madctl: .*\[[A-Z_]+\]$", line) for line in self.shown)


@dataclass(frozen=True)
class File:
    """What a reader saves: a block of code below a line that ends in ``in `NAME`:``."""

    line: int
    path: str
    text: str


def read(text):
    """Return the commands and files of a document, in their order."""
    for block in _FENCE.finditer(text):
        line = text[: block.start()].count("\n") + 2
        name = _FILE.search(text[: block.start()])
        if block[1] == "console":
            yield from _commands(block[2], line)
        elif name:
            yield File(line, name[1], block[2])


def _commands(text, first):
    commands = []
    for number, line in enumerate(text.splitlines(), first):
        if line.startswith("$ "):
            commands.append(Command(number, line[2:]))
        elif commands and commands[-1].text.endswith("\\") and not commands[-1].shown:
            commands[-1] = Command(commands[-1].line, f"{commands[-1].text}\n{line}")
        elif commands:
            last = commands[-1]
            commands[-1] = Command(last.line, last.text, (*last.shown, line))
    return commands


def missing(shown, printed):
    """Return the lines that a document shows but that were not printed; ``…`` matches anything."""
    lines = printed.splitlines()
    return [
        line for line in shown if line.strip() not in ("", "…") and not any(is_like(line, other) for other in lines)
    ]


def is_like(shown, printed):
    """Whether a line was printed as it is shown, but for what differs from run to run."""
    return bool(re.fullmatch(re.escape(_loose(shown)).replace("…", ".*"), _loose(printed)))


def _loose(line):
    for pattern, word in _LOOSE:
        line = re.sub(pattern, word, line)
    return line.strip()


def _is_of_desks(path):
    """Whether a directory is only there for other shells; the last one to leave removes it."""
    found = [one.name.startswith("desk-") for one in path.iterdir()]
    return bool(found) and all(found)


@dataclass
class ReaderShell:
    """The shell: ``home`` is the reader's home, where it starts."""

    home: Path
    environment: dict = field(default_factory=dict)

    def __enter__(self):
        self.home.mkdir(parents=True)
        # What is in it keeps other tests from removing a directory that this shell mounts over: the mount would go, too.
        wanted = [path for top in (*LABS, SSH) for path in (top, top / f"desk-{os.getpid()}")]
        modes = {**dict.fromkeys(map(str, LABS), 755), "/var/tmp": 1777, str(SSH): 700}
        own = " && ".join(f"mount -t tmpfs -o mode={mode} tmpfs {path}" for path, mode in modes.items())
        namespaces = ["--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]
        with state.exclusive():
            self.made = [path for path in wanted if not path.exists() or _is_of_desks(path)]
            for path in self.made:
                path.mkdir(mode=0o700, exist_ok=True)
        self.process = subprocess.Popen(
            ["unshare", *namespaces, "bash", "--noprofile", "--norc"],
            cwd=self.home,
            env={**os.environ, "HOME": str(self.home), "PS1": "", **self.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.code = 0
        assert self.type(f"{own} && ln -s /root/.ssh ~/.ssh")[0] == 0
        return self

    def __exit__(self, *_):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        with state.exclusive():
            # A lab may have made the last ones, and could not remove them while ours were in them.
            for path in [*reversed(self.made), *LABS]:
                with contextlib.suppress(OSError):  # Another process uses it.
                    path.rmdir()

    def type(self, text, seconds=600):
        """Type a command and give its exit code and all that it printed."""
        script = self.home / ".typed"
        script.write_text(text + "\n")
        # The shell itself reads the file, so that cd, variables and $? reach the next command.
        line = f'(exit {self.code}); . {script} </dev/null; echo "\n--- done $? ---"\n'
        self.process.stdin.write(line.encode())
        self.process.stdin.flush()
        printed = b""
        deadline = time.monotonic() + seconds
        while not (end := re.search(rb"\n--- done (\d+) ---\n\Z", printed)):
            ready = select.select([self.process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]
            piece = os.read(self.process.stdout.fileno(), 1 << 16) if ready else b""
            assert piece, f"no end of: {text}\n{printed.decode(errors='replace')}"
            printed += piece
        self.code = int(end[1])
        return self.code, printed[: end.start()].decode(errors="replace")

    def save(self, file):
        """Save a file where the document says, below the current directory or home."""
        path = file.path.replace("~/", "$HOME/", 1)
        (self.home / ".saved").write_text(file.text)
        code, printed = self.type(f'mkdir -p "$(dirname "{path}")" && cp ~/.saved "{path}"')
        assert code == 0, printed

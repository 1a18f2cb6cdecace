# SPDX-License-Identifier: Apache-2.0
"""Query git about a directory, without anything that its configuration would have executed. Private."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
from typing import IO, Dict, List, Mapping, Optional, Sequence

# The repository may be untrusted: git asks a program which files have changed, if its configuration names one.
_SAFE = ("-c", "core.fsmonitor=false", "-c", "core.quotePath=false", "-c", "core.hooksPath=/dev/null")
_SECONDS = 120.0


class GitError(Exception):
    """Git failed; the text is its own."""


def is_there() -> bool:
    """Return whether git is installed on this machine."""
    return shutil.which("git") is not None


def is_tree(directory: bytes) -> bool:
    """
    Return whether a directory belongs to a git work tree.

    Raises:
        GitError: If there is a repository that git refuses to read.
    """
    if not is_there():
        return False
    try:
        return output(directory, "rev-parse", "--is-inside-work-tree").strip() == b"true"
    except GitError as error:
        if "not a git repository" in str(error):
            return False
        raise


def output(
    directory: bytes,
    *words: str,
    most: int = 1 << 26,
    more: Optional[Mapping[str, str]] = None,
    given: bytes = b"",
    good: Sequence[int] = (0,),
) -> bytes:
    """
    Return what git prints, up to a maximum of bytes.

    Args:
        more: Variables of its environment.
        given: Its standard input.
        good: Exit codes that do not mean a failure.

    Raises:
        GitError: If it fails, or does not end.
    """
    argv: List[bytes] = [b"git", *map(os.fsencode, (*_SAFE, *words))]
    with tempfile.TemporaryFile() as source:
        source.write(given)
        source.seek(0)
        return _output(directory, argv, source, most, {**_environment(), **(more or {})}, good)


def _output(
    directory: bytes, argv: List[bytes], source: IO[bytes], most: int, environment: Dict[str, str], good: Sequence[int]
) -> bytes:
    try:
        git = subprocess.Popen(
            argv,
            cwd=directory,
            env=environment,
            stdin=source,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except OSError as error:
        raise GitError(str(error)) from error
    watch = threading.Timer(_SECONDS, git.kill)
    watch.daemon = True
    with git:
        assert git.stdout is not None and git.stderr is not None
        watch.start()
        found = git.stdout.read(most)
        is_cut = len(found) == most
        if is_cut:
            git.kill()
        _, said = git.communicate()
        watch.cancel()
    if git.returncode not in good and not is_cut:
        lines = said.decode(errors="replace").strip().splitlines()
        raise GitError(lines[0][:400] if lines else "it ended with %d" % git.returncode)
    return found


def _environment() -> Dict[str, str]:
    """Return our environment without variables that would lead git to another repository, and with plain messages."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    # What a partial clone lacks is not fetched: the repository names the program that would do that.
    alone = {"GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1"}
    return {**own, **alone, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}

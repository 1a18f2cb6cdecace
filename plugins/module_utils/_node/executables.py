# SPDX-License-Identifier: Apache-2.0
"""
Find and run a program on a node. Private to the collection.

On every node, importing the libraries for this would take a fifth of the whole time of a probe; a few short functions
avoid that. Code that needs more than these uses the libraries.
"""

from __future__ import annotations

import os
from typing import Dict, List, Optional


def which(name: str, path: Optional[str] = None) -> Optional[str]:
    """Find a program on a search path, by default that of the environment."""
    for directory in (path or os.environ.get("PATH", os.defpath)).split(os.pathsep):
        candidate = os.path.join(directory or ".", name)
        if is_program(candidate):
            return candidate
    return None


def is_program(path: str) -> bool:
    """Return whether a path is a file that this user may execute."""
    return os.path.isfile(path) and os.access(path, os.X_OK)


def fault(path: str, search: Optional[str] = None) -> Optional[str]:
    """
    Return why a file cannot be executed, or None if no reason is known.

    Args:
        search: The search path of the process that executes it.
    """
    if not os.path.exists(path):
        return "does not exist"
    if os.path.isdir(path):
        return "is a directory"
    if not os.access(path, os.X_OK):
        return "is not executable"
    try:
        with open(path, "rb") as stream:
            head = stream.read(256)
    except OSError:
        return None  # The kernel may still be able to read it.
    if head.startswith(b"#!"):
        return _interpreter_fault(head[2:].split(b"\n")[0], search)
    # All other formats that the kernel executes are binary.
    return None if b"\0" in head else "has no #! line"


def _interpreter_fault(line: bytes, search: Optional[str]) -> Optional[str]:
    words = os.fsdecode(line).split()
    if line.endswith(b"\r"):
        return "has a #! line that ends in a carriage return"
    if not words:
        return "has an empty #! line"
    if not is_program(words[0]):
        return "needs %s, which does not exist" % words[0]
    if os.path.basename(words[0]) == "env":
        named = [word for word in words[1:] if not word.startswith("-") and "=" not in word][:1]
        if named and "/" not in named[0] and which(named[0], search) is None:
            return "needs %s, which is not on the PATH" % named[0]
    return None


def spawn(argv: List[str], environment: Optional[Dict[str, str]] = None, output: Optional[int] = None) -> int:
    """Start a program without input, whose output goes only to a descriptor; return its process id."""
    null = os.open(os.devnull, os.O_RDWR)
    sources = (null, null if output is None else output, null)
    actions = [(os.POSIX_SPAWN_DUP2, source, target) for target, source in enumerate(sources)]
    try:
        return os.posix_spawn(argv[0], argv, os.environ if environment is None else environment, file_actions=actions)
    finally:
        os.close(null)


def output(argv: List[str], environment: Optional[Dict[str, str]] = None) -> bytes:
    """
    Run a program to its end and return its output; its stderr is discarded.

    Raises:
        OSError: If it cannot be started, or ends with an exit code other than 0.
    """
    reader, writer = os.pipe()
    try:
        pid = spawn(argv, environment, writer)
    finally:
        os.close(writer)
    with open(reader, "rb") as stream:
        text = stream.read()
    status = os.waitpid(pid, 0)[1]
    if status:
        raise OSError("%s ended with status %d" % (argv[0], status))
    return text

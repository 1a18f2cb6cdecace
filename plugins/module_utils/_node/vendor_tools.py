# SPDX-License-Identifier: Apache-2.0
"""
Run the tools of GPU vendors, each in a child process with a deadline, and parse their output.

Other output of a tool, and the way it fails, are kept: a tool that fails does not mean "no GPU". Delivered
beside the supervisor; private to the collection.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import plain_text
from ansible_collections.madctl.multinode.plugins.module_utils._node import executables

TOOL_SECONDS = 5.0
KILLED_SECONDS = 0.5
_WORDS_CHARACTERS = 200

Run = Callable[[Sequence[str]], str]


class ToolError(ValueError):
    """A tool gave no usable answer; the text says why, in the tool's own words if it has any."""


def run_bounded(argv: Sequence[str]) -> str:
    """
    Run a tool and return its standard output.

    Raises:
        OSError: If it cannot be started.
        subprocess.SubprocessError: If it does not answer within ``TOOL_SECONDS``, or fails; with its output.
    """
    import subprocess  # Slow to import, and only needed where a tool exists.

    pipe = subprocess.PIPE
    tool = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, preexec_fn=os.setpgrp)
    try:
        text, errors = (each.decode("utf-8", "replace") for each in tool.communicate(timeout=TOOL_SECONDS))
    except subprocess.TimeoutExpired:
        os.killpg(tool.pid, signal.SIGKILL)
        # Only briefly: a tool that hangs in the driver cannot even be killed.
        with contextlib.suppress(subprocess.TimeoutExpired):
            tool.wait(KILLED_SECONDS)
        raise
    finally:
        for stream in (tool.stdout, tool.stderr):
            if stream:
                stream.close()
    if tool.returncode:
        raise subprocess.CalledProcessError(tool.returncode, argv, text, errors)
    return text


def find(root: str, name: str) -> Optional[str]:
    """Return the path of a tool; None if it is not installed."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), os.path.join(root, "opt/rocm/bin")])
    return executables.which(name, path)


def said_by(run: Run, argv: Sequence[str]) -> Tuple[str, Optional[Exception]]:
    """Return the output of a tool, and its failure if it failed after that."""
    import subprocess

    try:
        return run(argv), None
    except subprocess.CalledProcessError as error:
        return error.stdout or "", error


def documents(text: str, failure: Optional[Exception]) -> Tuple[List[Any], str]:
    """Parse every JSON document in a tool's output; also return the words before and between them."""
    found: List[Any] = []
    words, place = [], 0
    for start in re.finditer(r"^\s*[\[{]", text, re.MULTILINE):
        begin = start.end() - 1
        if begin < place:
            continue
        try:
            document, end = json.JSONDecoder().raw_decode(text, begin)
        except (ValueError, RecursionError):
            continue
        found.append(document)
        words.append(text[place:begin])
        place = end
    if not found:
        raise failure or ToolError("no JSON in what it printed: %s" % shortened(text))
    return found, " ".join([*words, text[place:]]).strip()


def rows(text: str, width: int) -> Tuple[List[List[str]], str]:
    """Parse CSV into rows of ``width`` fields that begin with a number; all other lines are messages of the tool."""
    rows, words = [], []
    for line in text.splitlines():
        fields = [field.strip() for field in line.split(",")]
        # A GPU with the name "[GPU is lost]" cannot compute.
        if len(fields) == width and re.fullmatch("[0-9]{1,9}", fields[0]) and not fields[1].startswith(("[", "ERR")):
            rows.append(fields)
        elif line.strip() and line.strip() != "No devices were found":
            words.append(line)
    return rows, " ".join(words)


def said(entry: Dict[str, Any], *names: str) -> Optional[str]:
    """Return the first known one of several values."""
    values = (str(entry.get(name) or "").strip() for name in names)
    return next((value for value in values if value and value != "N/A"), None)


def reason(error: Exception) -> str:
    """Return why a tool gave no answer."""
    import subprocess

    if isinstance(error, subprocess.TimeoutExpired):
        return "no answer within %g s" % TOOL_SECONDS
    if isinstance(error, subprocess.CalledProcessError):
        words = shortened("%s %s" % (error.stdout or "", error.stderr or ""))
        return "exit code %d%s" % (error.returncode, ": " + words if words else "")
    if isinstance(error, OSError):
        return "could not be started: %s" % plain_text.reason(error)
    if isinstance(error, json.JSONDecodeError) or not isinstance(error, ValueError):
        return "unexpected output (%s)" % error
    return str(error)


def shortened(text: str) -> str:
    """Return the beginning of a tool's messages, on one line."""
    return " ".join(text.split())[:_WORDS_CHARACTERS]

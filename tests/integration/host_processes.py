# SPDX-License-Identifier: Apache-2.0
"""Processes on hosts of a lab, started and seen from outside: what a run has there, and what it left."""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

from madctl.lab import state
from madctl.lab.spec import Lab


def on_host(lab: Lab, host, *words, check=True, text=None):
    """
    Run a command on a host, past SSH, and give how it ended.

    As ``madctl lab exec`` does, but without a Python for each: tests do this a thousand times.
    """
    init = state.load(lab.name).host(host).init_pid
    namespaces = ["--mount", "--uts", "--ipc", "--net", "--pid"]
    enter = [
        "nsenter",
        "-t",
        str(init),
        *namespaces,
        "--",
        "sh",
        "-c",
        'cd "$0" 2>/dev/null || cd; exec "$@"',
        os.getcwd(),
    ]
    done = subprocess.run([*enter, *words], input=text, capture_output=True, text=True, timeout=60)
    assert not check or done.returncode == 0, (host, words, done.stdout, done.stderr)
    return done


def left_behind(lab: Lab):
    """
    List what carries a run's mark on any host: the same question after every test.

    Nothing of a job outlives the word of its end; the supervisor that gave it may take a moment to go.
    """
    deadline = time.monotonic() + 60
    while True:
        found = marked(lab)
        is_over = time.monotonic() > deadline
        if is_over or not found or any(b"madctl_node.py\0supervisor\0" not in words for _, _, words in found):
            return found
        time.sleep(0.05)


def kill(found):
    """Kill what was left, or all tests that follow fail, too, and hide which one was the first."""
    for _, pid, _ in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def marked(lab: Lab):
    """List supervisors, and the processes that carry a run's mark, on any host."""
    found = []
    for host in lab.hosts:
        for pid in processes_of(host.init_pid):
            try:
                environment = Path(f"/proc/{pid}/environ").read_bytes()
                words = Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                continue
            is_over = not words  # It ended between the two looks.
            if not is_over and (b"MADCTL_RUN_ID=" in environment or b"madctl_node.py\0supervisor\0" in words):
                found.append((host.name, pid, words))
    return found


def sleepers(lab):
    """List what the jobs started, marked or not."""
    found = []
    for host in lab.hosts:
        for pid in processes_of(host.init_pid):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as stream:
                    words = stream.read().split(b"\0")
            except OSError:
                continue
            found += [(host.name, pid)] if b"300" in words else []
    return found


def is_supervisor(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as stream:
            return b"madctl_node.py\0supervisor\0" in stream.read()
    except OSError:
        return False


def processes_of(init_pid):
    """List the processes of a host, by its PID namespace."""
    try:
        namespace = os.readlink(f"/proc/{init_pid}/ns/pid")
    except OSError:
        return []
    result = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{entry}/ns/pid") == namespace:
                result.append(int(entry))
        except OSError:
            continue
    return result

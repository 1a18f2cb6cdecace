# SPDX-License-Identifier: Apache-2.0
"""
What benches share: a lab for a measurement, commands and their cost here, and what hosts and the wire count.

The cost on hosts is read from outside, so that nothing is started there to measure.
"""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from madctl.lab import power, state
from madctl.lab.spec import Lab

BIN = Path(sys.executable).parent
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cost:
    """What one command cost: seconds, processor seconds here and on all hosts, bytes sent, sessions of sshd."""

    wall: float
    here: float
    there: float
    sent: int
    sessions: int


Done = subprocess.CompletedProcess[str]


def timed(argv: list[str]) -> tuple[float, float, Done]:
    """Run, and return wall seconds and processor seconds of this machine's side of it."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - started, cpu, done


def measured(lab: Lab, argv: list[str]) -> tuple[Cost, Done]:
    """Run, and return what it cost here and on the hosts; connections that stay open count as far as they are used."""
    before = _counters(lab)
    wall, cpu, done = timed(argv)
    kept, there, sent, sessions = (now - then for now, then in zip(_counters(lab), before, strict=True))
    return Cost(wall, cpu + max(0.0, kept), there, int(sent), int(sessions)), done


def _counters(lab: Lab) -> tuple[float, float, float, float]:
    """Read processor seconds of connections that are kept and of the hosts, bytes sent, and sessions."""
    namespaces = {os.readlink(f"/proc/{host.init_pid}/ns/pid") for host in lab.hosts}
    place = str(state.directory(lab.name) / "cp").encode()
    kept = there = 0.0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(process / "ns/pid") in namespaces:
                there += _seconds(process, collected=True)
            elif (process / "cmdline").read_bytes().startswith(b"ssh: " + place):
                kept += _seconds(process)
        except OSError:
            continue
    sent = int(Path(f"/sys/class/net/{lab.uplink}/statistics/tx_bytes").read_text())
    return kept, there, sent, sum(_sessions(host.init_pid) for host in lab.hosts)


def _seconds(process: Path, collected: bool = False) -> float:
    """Read processor time of a process, with that of all that it has collected where wanted."""
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11 : 15 if collected else 13])) / TICKS


def _sessions(init: int) -> int:
    return Path(f"/proc/{init}/root/run/lab/sshd.log").read_text().count("Starting session")


def descendants(pid: int) -> Iterator[int]:
    """List a process and all that descends from it."""
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*"):
        for child in (task / "children").read_text().split():
            yield from descendants(int(child))


def kept_by(lab: Lab) -> list[int]:
    """Return the orphaned processes that keep connections to a lab's hosts."""
    place, found = str(state.directory(lab.name) / "cp").encode(), []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            found += [int(process.name)] if (process / "cmdline").read_bytes().startswith(b"ssh: " + place) else []
        except OSError:
            continue
    return found


def number(text: str, name: str) -> int:
    """Read a number that stands behind a name on a line of its own."""
    found = re.search(rf"^{name}:\s+(\d+)", text, re.MULTILINE)
    return int(found[1]) if found else 0


def memory(process: int) -> int:
    """Return a process's proportional share of memory in bytes."""
    return number(Path(f"/proc/{process}/smaps_rollup").read_text(), "Pss") * 1024


def connections(lab: Lab) -> list[Path]:
    """List the sockets of connections that are still open."""
    return list((state.directory(lab.name) / "cp").glob("*"))


def close_connections(lab: Lab) -> None:
    """End every connection that is still open, so that the next command starts cold."""
    for socket in connections(lab):
        subprocess.run(["ssh", "-O", "exit", "-S", str(socket), "x"], capture_output=True, check=False)


def madctl(*words: str) -> list[str]:
    """Write a command line of madctl."""
    return [str(BIN / "madctl"), *words]


def ssh(lab: Lab, host: str, *words: str) -> list[str]:
    """Write a command line of ssh, with a connection of its own."""
    return ["ssh", "-F", str(state.directory(lab.name) / "ssh_config"), host, *words]


def clush(lab: Lab) -> list[str]:
    """Write the command that all is compared with: a parallel ssh that starts Python on every host."""
    return clush_words(lab, "python3", "-c", "pass")


def clush_words(lab: Lab, *words: str) -> list[str]:
    """Write a command line of clush for all hosts of a lab."""
    count = len(lab.hosts)
    hosts = f"node[1-{count}]" if count > 1 else "node1"
    options = ["-f", "64", "-O", f"ssh_options=-F {state.directory(lab.name)}/ssh_config"]
    return [str(BIN / "clush"), *options, "-w", hosts, "-q", *words]


@contextmanager
def lab_of(name: str, count: int) -> Iterator[Lab]:
    """Have a lab of so many hosts."""
    lab = power.up(f"{name}{count}", count, {})
    try:
        yield lab
    finally:
        power.down(lab.name)

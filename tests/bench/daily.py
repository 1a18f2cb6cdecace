# SPDX-License-Identifier: Apache-2.0
"""Measure commands of every day beside a bare ssh: status, logs and stop on three hosts, and how fast a log is read."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ground import close_connections, lab_of, madctl, ssh, timed

from madctl.lab.spec import Host, Lab

HOSTS = 3
LINE = "step 001234 loss 2.3145 lr 1.00e-04 grad_norm 0.8123 tokens/s 41234.5 mem 61.2 GiB rank 0"
PATIENCE_SECONDS = 300.0
TICK_SECONDS = 0.005


def row(what: str, value: str, base: str = "", ratio: float | None = None) -> None:
    """Print one row."""
    print(f"{what:<54}{value:>16}{base:>16}{'' if ratio is None else f'{ratio:.2f}':>8}", flush=True)


def header() -> None:
    """Print what stands above the rows."""
    print(f"{'what | beside what':<54}{'madctl':>16}{'base':>16}{'ratio':>8}")


def detach(lab: Lab, *words: str) -> dict[str, Any]:
    """Start a detached run, and return what its launch printed."""
    argv = madctl("launch", "--lab", lab.name, "--detach", "--output", "json", *words)
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return dict(json.loads(done.stdout))


def inside(host: Host, path: str) -> Path:
    """Name a file of a host as this machine sees it."""
    return Path(f"/proc/{host.init_pid}/root{path}")


def wait(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            sys.exit("nothing comes of it")
        time.sleep(TICK_SECONDS)


def asking(lab: Lab, rounds: int) -> None:
    """Ask for a run's state and logs, and stop it, beside one ssh to one host."""
    taken: dict[str, list[float]] = {}
    failed = set()
    for _ in range(rounds):
        run_id = detach(lab, "--command", "--", "sh", "-c", "echo begun; exec sleep 600")["run_id"]
        for way, command in ((way, command) for way in ("cold", "open") for command in ("status", "logs")):
            if way == "cold":
                close_connections(lab)
            wall, _, done = timed(madctl(command, run_id))
            taken.setdefault(f"{command}, {way}", []).append(wall)
            failed |= {f"{command}: exit {done.returncode}"} if done.returncode else set()
        taken.setdefault("ssh", []).append(timed(ssh(lab, "node1", "true"))[0])
        taken.setdefault("stop, open", []).append(timed(madctl("stop", run_id))[0])
    base = statistics.median(taken.pop("ssh"))
    for what, walls in taken.items():
        wall = statistics.median(walls)
        row(f"{what}, {HOSTS} hosts | ssh HOST true", f"{wall:.2f} s", f"{base:.2f} s", wall / base)
    for text in sorted(failed):
        print(text)


def reading(lab: Lab, size: int) -> None:
    """Read the log of a run that is over into a file, beside ssh that does so."""
    work = f"yes '{LINE}' | head -c {size}"
    begun = time.monotonic()
    said = detach(lab, "--hosts", "node1", "--log-cap", str(2 * size), "--command", "--", "sh", "-c", work)
    place = said["data"]["nodes"][0]["run_dir"]
    run_dir = inside(lab.host("node1"), place)
    wait(lambda: (run_dir / "exit.json").exists())
    row("keep a log, from launch to the end of the job", _rate(size, time.monotonic() - begun))
    kept = [path.name for path in sorted(run_dir.glob("logs/runner.out*")) if path.suffix != ".times"]
    held = sum((run_dir / "logs" / name).stat().st_size for name in kept)
    cat = ssh(lab, "node1", "cat", *(f"{place}/logs/{name}" for name in kept))
    _read(cat)
    base, _ = _read(cat)
    for what, words in (("logs --host node1", ["logs", "--host", "node1"]), ("attach", ["attach"])):
        wall, given = _read(madctl(*words, said["run_id"]))
        row(f"{what} | ssh cat, {held / 1e6:.0f} MB", _rate(held, wall), _rate(held, base), base / wall)
        row("  bytes given, with names of hosts", f"{given / 1e6:.0f} MB")


def _read(argv: list[str]) -> tuple[float, int]:
    with tempfile.TemporaryFile() as stream:
        begun = time.monotonic()
        subprocess.run(argv, stdout=stream, stderr=subprocess.DEVNULL, check=False)
        return time.monotonic() - begun, os.fstat(stream.fileno()).st_size


def _rate(size: int, seconds: float) -> str:
    return f"{size / seconds / 1e6:.1f} MB/s"


PARTS = ("daily", "logs")


def measure(wanted: list[str], rounds: int, size: int) -> None:
    """Measure what is wanted of this file on a lab of its own."""
    if not set(wanted) & set(PARTS):
        return
    header()
    with lab_of("daily", HOSTS) as lab:
        if "daily" in wanted:
            asking(lab, rounds)
        if "logs" in wanted:
            reading(lab, size)

# SPDX-License-Identifier: Apache-2.0
"""
Measure what it costs to send code with ``--sync``, beside a parallel copy of an archive of the same code.

Every round has code that no host has seen. The archive is made, copied and unpacked; a launch also checks the hosts and
runs a command there, so a launch without code stands beside it. Prints a table; asserts nothing.
"""

from __future__ import annotations

import argparse
import os
import random
import shlex
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from ground import Cost, clush_words, lab_of, madctl, measured

from madctl.lab.spec import Lab

_WORDS = ("import", "torch", "self", "return", "for", "in", "range", "model", "loss", "=", "(", ")", ":", "None", "+")


def text(source: random.Random, size: int) -> bytes:
    """Make something that compresses as code does."""
    parts = (f"{source.choice(_WORDS)}_{source.getrandbits(20):x}" for _ in range(size // 8))
    return " ".join(parts).encode()[:size]


def noise(source: random.Random, size: int) -> bytes:
    """Make something that does not compress."""
    return source.randbytes(size)


def write(place: Path, count: int, size: int, seed: int, content: Callable[[random.Random, int], bytes]) -> None:
    """Write so many files of so many bytes together, fifty per directory."""
    source = random.Random(seed)  # noqa: S311  no secret
    shutil.rmtree(place, ignore_errors=True)
    for number in range(count):
        path = place / f"d{number // 50}" / f"f{number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content(source, size // count))


def archived(lab: Lab, place: Path) -> Cost:
    """Copy an archive to all hosts, and unpack it there."""
    script = f"tar cf {place}.tar -C {place.parent} {place.name}"
    copy = shlex.join(clush_words(lab, "--copy", f"{place}.tar", "--dest", "/var/tmp/code.tar"))
    unpack = shlex.join(clush_words(lab, "mkdir -p /var/tmp/new && tar xf /var/tmp/code.tar -C /var/tmp/new"))
    return cost_of(lab, ["sh", "-c", f"{script} && {copy} && {unpack}"])


def launched(lab: Lab, *words: str) -> Cost:
    """Launch a command that does nothing."""
    return cost_of(lab, madctl("launch", "--lab", lab.name, *words, "--output", "json", "--command", "--", "true"))


def cost_of(lab: Lab, argv: list[str]) -> Cost:
    """Return the cost of a command that must succeed."""
    cost, done = measured(lab, argv)
    if done.returncode:
        raise SystemExit(f"{argv} failed: {done.stdout}{done.stderr}")
    return cost


def measure(lab: Lab, place: Path, rounds: int, files: int, size: int) -> None:
    """Measure both, and print a row for each kind of content."""
    for name, content in (("text", text), ("noise", noise)):
        taken: dict[str, list[Cost]] = {}
        for number in range(rounds):
            write(place, files, size, number, content)
            for what, run in (
                ("clush --copy", lambda: archived(lab, place)),
                ("launch", lambda: launched(lab)),
                ("launch --sync, first", lambda: launched(lab, "--sync", str(place))),
                ("launch --sync, again", lambda: launched(lab, "--sync", str(place))),
            ):
                taken.setdefault(what, []).append(run())
            (place / "d0/f0.py").write_bytes(b"edited")
            taken.setdefault("launch --sync, edited", []).append(launched(lab, "--sync", str(place)))
            subprocess.run(clush_words(lab, "rm -rf /var/tmp/new"), check=True, capture_output=True)
        for what, costs in taken.items():
            cells = [
                f"{statistics.median(getattr(cost, key) for cost in costs):.2f}" for key in ("wall", "here", "there")
            ]
            sent = statistics.median(cost.sent for cost in costs) / len(lab.hosts) / 1e6
            print(f"{name:<6} {what:<24}" + "".join(cell.rjust(10) for cell in [*cells, f"{sent:.3f}"]), flush=True)


def main() -> None:
    """Measure on as many hosts, with as much code, as is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=8)
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--bytes", type=int, default=50 * 10**6)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(f"{options.files} files, {options.bytes / 1e6:g} MB, {options.hosts} hosts")
    header = "".join(name.rjust(10) for name in ("wall s", "here s", "there s", "MB/host"))
    print(f"{'what':<31}{header}")
    with tempfile.TemporaryDirectory() as place:
        os.environ["XDG_STATE_HOME"] = f"{place}/state"
        os.chdir("/")
        with lab_of("bench-sync", options.hosts) as lab:
            measure(lab, Path(place) / "code", options.rounds, options.files, options.bytes)


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""
Measure what a launch and a check cost beside a bare parallel ssh, on the same hosts in the same run.

Rounds alternate between the commands, and medians are shown. Behind this come daily commands on few hosts, see
``daily``. Prints tables; asserts nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass

import daily
from ground import BIN, Cost, Done, close_connections, clush, descendants, kept_by, lab_of, madctl, measured, memory

from madctl.lab import state
from madctl.lab.spec import Lab
from madctl.playbook import engine

SIZES = [2, 16, 64, 128, 240]
COLUMNS = (
    "wall s",
    "ratio",
    "here s/host",
    "ratio",
    "there s/host",
    "ratio",
    "sent KiB",
    "spread s",
    "sessions",
    "starts",
)


@dataclass(frozen=True)
class Subject:
    """A command that is measured; ``is_cold`` where it has to make its connections."""

    name: str
    argv: list[str]
    is_cold: bool = False


@dataclass(frozen=True)
class Sample:
    """What one command cost in one round, and what it says of itself."""

    cost: Cost
    spread: float | None
    starts: float | None
    stages: str
    code: int


def subjects(lab: Lab) -> list[Subject]:
    """List what is compared; the first is the measure."""
    place, count = state.directory(lab.name), len(lab.hosts)
    work = ["--lab", lab.name, "--output", "json", "--command", "--", "true"]
    ansible = [str(BIN / "ansible"), "all", "-i", str(place / "inventory.yml"), "-f", str(engine.forks(count))]
    return [
        Subject("clush, cold", clush(lab), is_cold=True),
        Subject("launch, cold", madctl("launch", *work), is_cold=True),
        Subject("launch, open", madctl("launch", *work)),
        Subject("ansible raw, open", [*ansible, "-m", "raw", "-a", "true"]),
        Subject("check, open", madctl("check", *work)),
    ]


def sample(lab: Lab, subject: Subject) -> Sample:
    """Measure a command once."""
    if subject.is_cold:
        close_connections(lab)
    cost, done = measured(lab, subject.argv)
    return Sample(cost, _spread(done), _starts(done), _stages(done), done.returncode)


def _spread(done: Done) -> float | None:
    try:
        found = (json.loads(done.stdout)["data"] or {}).get("start_spread_seconds")
    except ValueError:
        return None
    return None if found is None else float(found)


def _starts(done: Done) -> float | None:
    said = re.search(r"([0-9.]+) Python starts per node", done.stderr)
    return float(said[1]) if said else None


def _stages(done: Done) -> str:
    """Return what the command itself says of its stages."""
    said = re.search(r"^STAGE .*?^\d+ nodes, .*?$", done.stderr, re.M | re.S)
    return said[0] if said else ""


def compare(lab: Lab, rounds: int) -> None:
    """Measure all commands in alternating rounds; print a row for each, and the stages of one launch."""
    known = subjects(lab)
    taken: dict[str, list[Sample]] = {subject.name: [] for subject in known}
    for _ in range(rounds):
        for subject in known:
            taken[subject.name].append(sample(lab, subject))
    base = _medians(taken[known[0].name])
    for name, samples in taken.items():
        print(f"{len(lab.hosts):>5}  {name:<20}" + _row(samples, base, len(lab.hosts)), flush=True)
    print(f"\n{taken['launch, cold'][-1].stages}\n", flush=True)


def _medians(samples: list[Sample]) -> Cost:
    costs = [sample.cost for sample in samples]
    names = ("wall", "here", "there", "sent", "sessions")
    return Cost(*(statistics.median(getattr(cost, name) for cost in costs) for name in names))


def _row(samples: list[Sample], base: Cost, count: int) -> str:
    cost = _medians(samples)
    cells = [f"{cost.wall:.2f}", _ratio(cost.wall, base.wall)]
    cells += [f"{cost.here / count:.4f}", _ratio(cost.here, base.here)]
    cells += [f"{cost.there / count:.4f}", _ratio(cost.there, base.there)]
    cells += [f"{cost.sent / count / 1024:.1f}"]
    cells += [_median([one.spread for one in samples], 3), f"{cost.sessions / count:g}"]
    cells += [_median([one.starts for one in samples], 1)]
    failed = [one.code for one in samples if one.code]
    row = "".join(cell.rjust(_width(name)) for cell, name in zip(cells, COLUMNS, strict=True))
    return row + (f"  exit {failed}" if failed else "")


def _ratio(value: float, base: float) -> str:
    return f"{value / base:.2f}" if base else "-"


def _median(values: list[float | None], digits: int) -> str:
    known = [value for value in values if value is not None]
    return f"{statistics.median(known):.{digits}f}" if known else "-"


def _width(column: str) -> int:
    return max(8, len(column) + 2)


def following(lab: Lab) -> None:
    """Print what memory a launch takes here while it follows all hosts."""
    argv = madctl("launch", "--lab", lab.name, "--output", "json", "--command", "--", "sleep", "600")
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        if any(line.startswith("go ") for line in process.stderr):
            _memory(lab, list(descendants(process.pid)))
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate()


def _memory(lab: Lab, processes: list[int]) -> None:
    count = len(lab.hosts)
    clients = [pid for pid in processes if os.path.basename(os.readlink(f"/proc/{pid}/exe")) == "ssh"]
    own = [pid for pid in processes if pid not in clients]
    for name, group in (("own", own), ("ssh", clients + kept_by(lab))):
        total = sum(map(memory, group)) / (1 << 20)
        what = f"memory, {name}"
        print(
            f"{count:>5}  {what:<20}{total:>8.1f} MiB PSS in {len(group)} processes, {total / count:.2f} a host",
            flush=True,
        )


def main() -> None:
    """Measure on the sizes asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, help=f"numbers of hosts (default {SIZES})")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--log", type=int, default=10**9, metavar="BYTES", help="how long a log is read (default 1e9)")
    parser.add_argument("--only", choices=["cost", "memory", *daily.PARTS], nargs="+", help="a part of all this")
    options = parser.parse_args()
    os.chdir("/")
    os.environ["MADCTL_TIMING"] = "1"
    parts: dict[str, Callable[[Lab], None]] = {"cost": lambda lab: compare(lab, options.rounds), "memory": following}
    wanted = [measure for name, measure in parts.items() if not options.only or name in options.only]
    print(f"load {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as records:
        os.environ["XDG_STATE_HOME"] = records
        if wanted:
            print(f"{'hosts':>5}  {'what':<20}" + "".join(name.rjust(_width(name)) for name in COLUMNS))
            for count in options.sizes or SIZES:
                with lab_of("bench", count) as lab:
                    for measure in wanted:
                        measure(lab)
        daily.measure(options.only or list(daily.PARTS), options.rounds, options.log)


if __name__ == "__main__":
    main()

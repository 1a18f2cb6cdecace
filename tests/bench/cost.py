# SPDX-License-Identifier: Apache-2.0
"""
Time a whole checked launch beside a bare parallel ssh, on the same hosts in the same run.

A launch of ``--command -- true`` and ``clush -f 64`` running ``python3 -c pass``, cold and with
connections open; a check beside one bare module task of Ansible. Prints a table; asserts nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from madctl.lab import power, state
from madctl.playbook import engine

BIN = Path(sys.executable).parent


def timed(argv: list[str]) -> tuple[float, float, subprocess.CompletedProcess[str]]:
    """Run, and return wall seconds and CPU seconds of this machine's side of it."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - started, cpu, done


def close_connections(directory: Path) -> None:
    """End every connection that is still open, so that the next command starts cold."""
    for socket in directory.glob("*"):
        subprocess.run(["ssh", "-O", "exit", "-S", str(socket), "x"], capture_output=True, check=False)


def measure(count: int) -> None:
    """Measure on one lab of ``count`` hosts and print its rows."""
    name = f"bench{count}"
    lab = power.up(name, count, {})
    try:
        directory = state.directory(name)
        hosts = f"node[1-{count}]" if count > 1 else "node1"
        clush = [str(BIN / "clush"), "-f", "64", "-O", f"ssh_options=-F {directory}/ssh_config", "-w", hosts]
        clush += ["-q", "python3", "-c", "pass"]
        launch = [str(BIN / "madctl"), "launch", "--lab", name, "--output", "json", "--command", "--", "true"]
        base, base_cpu, done = timed(clush)
        row(count, "clush, cold", base, base_cpu, 1.0, None, done.returncode)
        for label, cold in (("launch, cold", True), ("launch, connections open", False)):
            if cold:
                close_connections(directory / "cp")
            wall, cpu, done = timed(launch)
            data = json.loads(done.stdout)["data"] or {}
            row(count, label, wall, cpu, wall / base, data.get("start_spread_seconds"), done.returncode)
        task = [str(BIN / "ansible"), "all", "-i", str(directory / "inventory.yml"), "-f", str(engine.forks(count))]
        bare, bare_cpu, done = timed([*task, "-m", "ansible.builtin.ping"])
        row(count, "one module task, open", bare, bare_cpu, 1.0, None, done.returncode)
        check = [str(BIN / "madctl"), "check", "--lab", name, "--output", "json", "--command", "--", "true"]
        wall, cpu, done = timed(check)
        row(count, "check, open", wall, cpu, wall / bare, None, done.returncode)
    finally:
        power.down(lab.name)


def row(count: int, what: str, wall: float, cpu: float, ratio: float, spread: float | None, code: int) -> None:
    """Print one row."""
    shown = "-" if spread is None else f"{spread:.3f}"
    print(f"{count:>5}  {what:<26}{wall:>7.2f}{cpu / count:>12.3f}{ratio:>8.2f}{shown:>10}{code:>6}", flush=True)


def main() -> None:
    """Measure on the sizes asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=[2, 16, 64])
    os.chdir("/")
    print(f"{'hosts':>5}  {'what':<26}{'wall s':>7}{'cpu s/host':>12}{'ratio':>8}{'spread s':>10}{'exit':>6}")
    for count in parser.parse_args().sizes:
        measure(count)


if __name__ == "__main__":
    main()

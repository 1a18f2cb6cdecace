# SPDX-License-Identifier: Apache-2.0
"""
Time ``launch --runner mpirun`` beside a bare mpirun over SSH, on the same hosts in the same run.

For the bare one the first host gets a key that all others accept; madctl has no use for it. A rank
prints when it started; hosts of a lab share their clock. Prints a table; asserts nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from madctl.lab import power, state

BIN = Path(sys.executable).parent
MPIRUNS = ("/usr/bin/mpirun.openmpi", "/usr/bin/mpirun.mpich")
RANK = ["sh", "-c", "echo at=$(date +%s.%N)"]


def inside(lab: str, host: str, *words: str, text: str | None = None) -> str:
    """Run a command on a host, past SSH."""
    argv = [str(BIN / "madctl"), "lab", "exec", "--name", lab, host, "--", *words]
    return subprocess.run(argv, input=text, capture_output=True, text=True, check=True).stdout


def trust(lab: str, hosts: list[str]) -> None:
    """Let the first host log in on all others."""
    with tempfile.TemporaryDirectory() as place:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{place}/key"], check=True)
        private, public = Path(f"{place}/key").read_text(), Path(f"{place}/key.pub").read_text()
    inside(lab, hosts[0], "sh", "-c", "cat > /root/.ssh/id_ed25519; chmod 600 /root/.ssh/id_ed25519", text=private)
    inside(lab, hosts[0], "sh", "-c", "echo 'StrictHostKeyChecking no' > /root/.ssh/config")
    for host in hosts:
        inside(lab, host, "sh", "-c", "cat >> /run/lab/authorized_keys", text=public)


def bare(lab: str, hosts: list[str], program: str) -> tuple[float, float]:
    """Return the seconds from the start of mpirun to its last rank, and of the whole run."""
    option = "--host" if "openmpi" in program else "-hosts"
    as_root = ["--allow-run-as-root"] if "openmpi" in program else []
    words = [program, *as_root, option, ",".join(f"{host}:1" for host in hosts), "-np", str(len(hosts)), *RANK]
    config = state.directory(lab) / "ssh_config"
    started = time.monotonic()
    line = "echo at=$(date +%s.%N); exec " + " ".join(f"'{word}'" for word in words)
    done = subprocess.run(
        ["ssh", "-F", config, "-o", "ControlPath=none", hosts[0], line], capture_output=True, text=True, check=False
    )
    first, *ranks = map(float, re.findall(r"at=([0-9.]+)", done.stdout))
    if len(ranks) != len(hosts):
        sys.exit(done.stdout + done.stderr)
    return max(ranks) - first, time.monotonic() - started


def launch(lab: str, hosts: list[str], program: str) -> tuple[float, float]:
    """Return the seconds from go to the last rank, and of the whole run."""
    argv = [str(BIN / "madctl"), "launch", "--lab", lab, "--runner", "mpirun", "--mpirun", program]
    started = time.monotonic()
    done = subprocess.run(
        [*argv, "--allow-run-as-root", "--output", "json", "--", *RANK], capture_output=True, text=True, check=False
    )
    wall = time.monotonic() - started
    ranks = list(map(float, re.findall(r"at=([0-9.]+)", done.stderr)))
    data = json.loads(done.stdout)["data"]
    if len(ranks) != len(hosts):
        sys.exit(done.stderr)
    events = inside(lab, hosts[0], "cat", f"{data['nodes'][0]['run_dir']}/events.jsonl")
    go = next(event["time"] for event in map(json.loads, events.splitlines()) if event["event"] == "started")
    return max(ranks) - go, wall


def main() -> None:
    """Measure on as many hosts as asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", type=int, default=16)
    parser.add_argument("--times", type=int, default=3)
    options = parser.parse_args()
    name = f"bench-mpi{options.size}"
    os.chdir("/")
    lab = power.up(name, options.size, {})
    hosts = [host.name for host in lab.hosts]
    print(f"{'hosts':>5}  {'what':<36}{'start s':>9}{'ratio':>7}{'whole s':>9}{'ratio':>7}")
    try:
        trust(name, hosts)
        for program in MPIRUNS:
            for _ in range(options.times):
                base, base_wall = bare(name, hosts, program)
                for socket in (state.directory(name) / "cp").glob("*"):
                    subprocess.run(["ssh", "-O", "exit", "-S", str(socket), "x"], capture_output=True, check=False)
                start, wall = launch(name, hosts, program)
                label = Path(program).name
                print(
                    f"{options.size:>5}  {label + ' over SSH':<36}{base:>9.2f}{1.0:>7.2f}{base_wall:>9.2f}{1.0:>7.2f}"
                )
                row = f"{start:>9.2f}{start / base:>7.2f}{wall:>9.2f}{wall / base_wall:>7.2f}"
                print(f"{options.size:>5}  {'launch --mpirun ' + label:<36}{row}", flush=True)
    finally:
        power.down(name)


if __name__ == "__main__":
    main()

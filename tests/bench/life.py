# SPDX-License-Identifier: Apache-2.0
"""
Measure what a run costs while it lives and when it ends, on hosts of a lab.

Stopping on many hosts beside a bare parallel ssh; the memory and the processor time of a supervisor
that has nothing to do, and of what samples the run; reading a long log beside ``ssh HOST cat FILE``; the time from the death of one
rank to the end of all shares. Prints a table; asserts nothing.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from daily import detach, header, inside, reading, row, wait
from ground import TICKS, clush, lab_of, madctl, number, timed

from madctl.lab.spec import Host, Lab

WHAT = ["stop", "idle", "samples", "logs", "death"]
JOB = "import os, sys, time; print('up', os.environ['RANK'], flush=True); time.sleep(600)"


def processes(host: Host, wanted: bytes) -> list[Path]:
    """Find processes of a host by a part of their command line, as directories of this machine's ``/proc``."""
    namespace, found = os.readlink(f"/proc/{host.init_pid}/ns/pid"), []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(process / "ns/pid") == namespace and wanted in (process / "cmdline").read_bytes():
                found.append(process)
        except OSError:
            continue
    return found


def stopping(lab: Lab) -> None:
    """Stop a run on all hosts of a lab."""
    count = len(lab.hosts)
    detach(lab, "--command", "--", "sleep", "600")
    timed(clush(lab))
    base, _, _ = timed(clush(lab))
    wall, cpu, done = timed(madctl("stop"))
    said = "" if done.returncode == 0 else f", exit {done.returncode}"
    row(f"stop, {count} hosts | clush -f 64, connections open{said}", f"{wall:.2f} s", f"{base:.2f} s", wall / base)
    row("  processor time here, a host", f"{cpu / count * 1000:.0f} ms")
    wall, _, _ = timed(madctl("stop"))
    row("  stop again, when nothing is left", f"{wall:.2f} s", f"{base:.2f} s", wall / base)


def idling(lab: Lab, seconds: float) -> None:
    """Watch a supervisor without a follower, whose job prints nothing."""
    detach(lab, "--hosts", "node1", "--command", "--", "sleep", "600")
    [supervisor] = processes(lab.host("node1"), b"madctl_node.py\0supervisor\0")
    time.sleep(1.0)
    before, switches = _times(supervisor), _switches(supervisor)
    time.sleep(seconds)
    used, woken = _times(supervisor) - before, _switches(supervisor) - switches
    memory = (supervisor / "smaps_rollup").read_text()
    row("idle supervisor, RSS", f"{number(memory, 'Rss') / 1024:.1f} MiB")
    row("  PSS, beside other Pythons of this machine", f"{number(memory, 'Pss') / 1024:.1f} MiB")
    row("  private, which is what one more would cost", f"{_private(memory) / 1024:.1f} MiB")
    row(f"  processor time in {seconds:g} s", f"{used / TICKS * 1000:.0f} ms")
    row(f"  times it was woken in {seconds:g} s", str(woken))
    subprocess.run(madctl("stop", "--force"), capture_output=True, check=False)


def sampling(lab: Lab, count: int, seconds: float) -> None:
    """Watch what samples a run for ``madctl top``, on a host where the job has that many processes."""
    work = f"for each in $(seq {count}); do sleep 600 & done; wait"
    detach(lab, "--hosts", "node2", "--command", "--", "sh", "-c", work)
    host = lab.hosts[1]
    wait(lambda: len(processes(host, b"sleep\x00600")) >= count and bool(processes(host, b"madctl\0samples")))
    [sampler] = processes(host, b"madctl\0samples")
    before = _nanoseconds(sampler)
    time.sleep(seconds)
    row("sampler, private memory", f"{_private((sampler / 'smaps_rollup').read_text()) / 1024:.1f} MiB")
    spent = (_nanoseconds(sampler) - before) / 1e6
    row(f"  processor time in {seconds:g} s, {count} processes of the job", f"{spent:.0f} ms")
    subprocess.run(madctl("stop", "--force"), capture_output=True, check=False)


def _nanoseconds(process: Path) -> int:
    return int((process / "schedstat").read_text().split()[0])


def _private(memory: str) -> int:
    return number(memory, "Private_Clean") + number(memory, "Private_Dirty")


def _times(process: Path) -> int:
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _switches(process: Path) -> int:
    return number((process / "status").read_text(), "voluntary_ctxt_switches")


def dying(lab: Lab) -> None:
    """Kill one rank of an attached run, and wait for the ends of all shares, as their nodes record them."""
    argv = madctl("launch", "--lab", lab.name, "--nproc-per-node", "1", "--python", sys.executable, "--output", "json")
    for host in lab.hosts:
        inside(host, "/opt/job.py").write_text(JOB)
    process = subprocess.Popen([*argv, "--", "/opt/job.py"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    seen = 0
    for line in process.stderr:
        seen += "│ up" in line
        if seen == len(lab.hosts):
            break
    # torchrun and the wrapper of a rank name the script, too; the rank itself is the youngest.
    victim = max(processes(lab.hosts[1], b"/opt/job.py"), key=lambda found: int(found.name))
    [place] = {path.parent.name for path in inside(lab.hosts[1], "/var/tmp/madctl-0").glob("*/control.sock")}
    records = [inside(host, f"/var/tmp/madctl-0/{place}/exit.json") for host in lab.hosts]
    begun = time.monotonic()
    os.kill(int(victim.name), signal.SIGKILL)
    wait(lambda: all(record.exists() for record in records))
    over = time.monotonic() - begun
    process.communicate()
    row(f"kill -9 of a rank to the end of {len(lab.hosts)} shares", f"{over:.2f} s")
    row(f"  to the end of the launch, exit {process.returncode}", f"{time.monotonic() - begun:.2f} s")


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", default=WHAT, help=", ".join(WHAT))
    parser.add_argument("--hosts", type=int, default=64, help="how many to stop (default 64)")
    parser.add_argument("--log", type=int, default=10**9, metavar="BYTES", help="how long a log (default 1e9)")
    parser.add_argument("--idle", type=float, default=20.0, metavar="SECONDS", help="how long to watch (default 20)")
    options = parser.parse_args()
    os.chdir("/")
    print(f"load {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores")
    header()
    with tempfile.TemporaryDirectory() as memory:
        os.environ["XDG_STATE_HOME"] = memory
        if "stop" in options.what:
            with lab_of("life", options.hosts) as lab:
                stopping(lab)
        if {"idle", "samples", "logs", "death"} & set(options.what):
            with lab_of("life", 4) as lab:
                small(lab, options)


def small(lab: Lab, options: argparse.Namespace) -> None:
    """Measure what needs few hosts."""
    if "idle" in options.what:
        idling(lab, options.idle)
    if "samples" in options.what:
        sampling(lab, 300, options.idle)
    if "death" in options.what:
        dying(lab)
    if "logs" in options.what:
        reading(lab, options.log)


if __name__ == "__main__":
    main()

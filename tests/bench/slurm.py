# SPDX-License-Identifier: Apache-2.0
"""
Time ``launch --on slurm`` beside a bare ``srun`` of the same script, in jobs of the same Slurm in the same run.

From the moment when Slurm allocates the job to the first line of a rank, by the clock that hosts of a lab share. Then
count what a run that two commands follow asks of the controller. Prints a table; asserts nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from ground import lab_of, madctl

from madctl.lab import slurm
from madctl.lab.spec import Lab

NODES = 3
SCRIPT = "import time\nprint(f'at={time.time()}', flush=True)\n"
# As people write it: with the faster of torchrun's two ways to meet.
TORCHRUN = (
    "sh -c 'exec {torchrun} --nnodes={nodes} --nproc-per-node=1 --node-rank=$SLURM_NODEID --master-addr='$head'"
    " --master-port=29511 {script}'"
)
BARE = """\
#!/bin/sh
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
srun --nodes={nodes} --ntasks-per-node=1 --kill-on-bad-exit=1 {work}
"""
# What daemons and sdiag itself send.
OF_DAEMONS = re.compile(r"MESSAGE_\w+|REQUEST_(PING|STATS_INFO|COMPLETE_\w+|STEP_COMPLETE\w*|NODE_REG\w*)")


def environment(lab: Lab) -> dict[str, str]:
    """Return an environment in which programs of Slurm use a lab's, and torchrun is found."""
    return {**os.environ, **slurm.environment(lab), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def asked(lab: Lab, *words: str) -> str:
    """Return what a program of Slurm prints."""
    return subprocess.run(words, env=environment(lab), capture_output=True, text=True, check=True).stdout


def allocated(lab: Lab, job_id: str) -> float:
    """Return when a job got its nodes, which the controller logs in milliseconds."""
    log = (Path(lab.shared) / ".slurm/slurmctld.log").read_text()
    found = re.search(
        rf"^\[(\S+)\] sched(?:/backfill)?: .*JobId={job_id}\b.*NodeList=|^\[(\S+)\].*Started JobId={job_id}\b",
        log,
        re.M,
    )
    if not found:
        sys.exit(f"the controller's log does not say when job {job_id} began")
    return datetime.fromisoformat(found[1] or found[2]).timestamp()


def first_line(text: str) -> float:
    """Return when the first rank printed."""
    return min(map(float, re.findall(r"at=([0-9.]+)", text)))


def bare(lab: Lab, work: str) -> float:
    """Run a script by hand, and return the seconds to its first line."""
    place = Path(lab.shared)
    (place / "bare.sh").write_text(BARE.format(nodes=NODES, work=work))
    output = place / "bare.out"
    words = ["sbatch", "--parsable", "--wait", f"--nodes={NODES}", "--ntasks-per-node=1", f"--output={output}"]
    job_id = asked(lab, *words, f"--chdir={place}", str(place / "bare.sh")).strip()
    return first_line(output.read_text()) - allocated(lab, job_id)


def launched(lab: Lab, words: list[str]) -> float:
    """Have madctl run it, and return the same."""
    argv = [*madctl("launch", "--on", "slurm", "--lab", lab.name, "--nodes", str(NODES), "--output", "json"), *words]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    submission = Path(lab.shared) / "madctl-runs" / json.loads(done.stdout)["run_id"] / "submit.json"
    return first_line(done.stderr) - allocated(lab, json.loads(submission.read_text())["job_id"])


def requests(lab: Lab) -> Counter[str]:
    """Count what was asked of the controller, without what its daemons tell it."""
    found = re.findall(r"^\s+([A-Z_]+)\s+\(\s*\d+\) count:(\d+)", asked(lab, "sdiag"), re.M)
    return Counter({name: int(count) for name, count in found if not OF_DAEMONS.fullmatch(name)})


def while_running(lab: Lab, seconds: float) -> tuple[Counter[str], Counter[str]]:
    """Follow a run by two commands; count what asks the controller up to the first line, and what does afterwards."""
    idle = requests(lab)
    words = ["--on", "slurm", "--lab", lab.name, "--nodes", str(NODES), "--command", "--", "sh", "-c"]
    work = f"echo begun; sleep {seconds + 5}"
    with subprocess.Popen(madctl("launch", *words, work), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as first:
        assert first.stdout is not None
        first.stdout.readline()
        with subprocess.Popen(madctl("attach"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as second:
            assert second.stdout is not None
            second.stdout.readline()
            before = requests(lab)
            time.sleep(seconds)  # What is measured is that nothing happens.
            return before - idle, requests(lab) - before


def main() -> None:
    """Measure so many times, alternating."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=30.0, help="how long a run is watched")
    options = parser.parse_args()
    os.chdir("/")
    with lab_of("bench-slurm", NODES) as lab:
        slurm.start(lab)
        script = Path(lab.shared) / "rank.py"
        script.write_text(SCRIPT)
        python = sys.executable
        torchrun = TORCHRUN.format(torchrun=Path(python).parent / "torchrun", nodes=NODES, script=script)
        ways: dict[str, tuple[Callable[[], float], Callable[[], float]]] = {
            "srun torchrun": (
                lambda: bare(lab, torchrun),
                lambda: launched(lab, ["--python", python, "--", str(script)]),
            ),
            "srun python": (
                lambda: bare(lab, f"{python} {script}"),
                lambda: launched(lab, ["--command", "--", python, str(script)]),
            ),
        }
        print(
            f"{'from the allocation to the first line, ' + str(NODES) + ' nodes':<54}{'madctl':>10}{'bare':>10}{'ratio':>8}"
        )
        for name, (by_hand, by_madctl) in ways.items():
            pairs = [(by_hand(), by_madctl()) for _ in range(options.times)]
            base, own = (statistics.median(times) for times in zip(*pairs, strict=True))
            print(f"launch --on slurm | {name:<34}{own:>8.2f} s{base:>8.2f} s{own / base:>8.2f}", flush=True)
        for when, found in zip(
            ("before", f"in {options.seconds:g} s after"), while_running(lab, options.seconds), strict=True
        ):
            kinds = ", ".join(f"{count} {name}" for name, count in sorted(found.items()))
            print(f"requests to the controller {when} the first line, two followers: {found.total()} {kinds}")


if __name__ == "__main__":
    main()

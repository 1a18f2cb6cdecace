# SPDX-License-Identifier: Apache-2.0
"""
Time a model by ``launch --tags`` beside madengine by hand, on the same two hosts, with the same containers.

By hand means one command per node, started at once, as the guide has it in two terminals: there, nobody checks
anything. A rank prints when it started; hosts of a lab share their clock. Prints a table; asserts nothing.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import time

from tests.integration import docker_hosts
from tests.integration.command import MADCTL
from tests.integration.docker_hosts import PLACE, DockerHosts

SCRIPT = "eval $MAD_MULTI_NODE_RUNNER sh -c '\"echo at=$(date +%s.%N)\"'\necho performance: 1 x"
# What starts ranks costs the same on both sides; without it, only what is around them is measured.
TORCHRUN = '#!/bin/sh\nwhile [ "$1" != sh ]; do shift; done\nexec "$@"\n'
_RANKS = 2


def by_hand(hosts: DockerHosts) -> list[float]:
    """Return when ranks started, on each node by the same command with another rank."""
    lines = []
    address = hosts.lab.host(hosts.names[0]).data_address
    for rank, host in enumerate(hosts.names):
        args = {"RUNNER": "torchrun", "NNODES": 2, "NODE_RANK": rank, "MASTER_ADDR": address, "MASTER_PORT": 400}
        context = repr({"multi_node_args": {**args, "MAD_RUNTIME_NGPUS": 1}})
        words = [
            MADCTL,
            "lab",
            "exec",
            "--name",
            hosts.lab.name,
            host,
            "--",
            "sh",
            "-c",
            f'cd {PLACE}; exec "$@"',
            "sh",
        ]
        words += ["madengine", "run", "--tags", "bench", "--live-output", "--additional-context", context]
        lines.append(subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
    return _times("".join(process.communicate()[0] for process in lines))


def by_madctl(hosts: DockerHosts) -> list[float]:
    """Return when ranks started."""
    own = ["--lab", hosts.lab.name, "--chdir", PLACE, "--tags", "bench", "--nproc-per-node", "1"]
    done = subprocess.run([MADCTL, "launch", *own], capture_output=True, text=True, check=False)
    return _times(done.stdout + done.stderr)


def _times(text: str) -> list[float]:
    found = [float(at) for at in re.findall(r"│ at=([0-9.]+)|^at=([0-9.]+)", text, re.M) for at in at if at]
    if len(found) < _RANKS:
        sys.exit(text)
    return found


def main() -> None:
    """Measure both in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=5)
    options = parser.parse_args()
    with docker_hosts.running(_RANKS) as hosts:
        hosts.models({"bench": SCRIPT}, {"bench": "-v /opt/bin:/opt/bin:ro -e PATH=/opt/bin:/usr/bin"})
        hosts.write("/opt/bin/torchrun", TORCHRUN, "755")
        seconds: dict[str, list[float]] = {"by hand": [], "madctl": []}
        for _ in range(options.times):
            for name, start in (("by hand", by_hand), ("madctl", by_madctl)):
                began = time.time()
                seconds[name].append(min(start(hosts)) - began)
    print(f"{'a model on 2 nodes, to the first rank':<40}{'s':>7}{'more':>7}")
    first = statistics.median(seconds["by hand"])
    for name, found in seconds.items():
        median = statistics.median(found)
        print(f"  {name:<38}{median:>7.1f}{median - first:>7.1f}")


if __name__ == "__main__":
    main()

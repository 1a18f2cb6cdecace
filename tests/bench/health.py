# SPDX-License-Identifier: Apache-2.0
"""
Check a healthy lab a hundred times and count what is found: a false alarm costs a user more than a slow check.

Prints a table; asserts nothing. The hosts of a lab have no GPU, which is told and is true.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import subprocess

from ground import BIN

from madctl.lab import power

TRUE_HERE = {"NO_GPU"}


def main() -> None:
    """Check as often as asked for, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rounds", nargs="?", type=int, default=100)
    rounds = parser.parse_args().rounds
    os.chdir("/")
    found: collections.Counter[str] = collections.Counter()
    lab = power.up("health", 4, {"node3": "ib0"})
    try:
        argv = [str(BIN / "madctl"), "check", "--lab", lab.name, "--output", "json", "--command", "--", "true"]
        for _ in range(rounds):
            done = subprocess.run(argv, capture_output=True, text=True, check=False)
            answer = json.loads(done.stdout)
            found.update(entry["code"] for entry in [*answer["errors"], *answer["warnings"]])
            found["exit code not 0"] += done.returncode != 0
    finally:
        power.down(lab.name)
    alarms = {code: count for code, count in found.items() if code not in TRUE_HERE and count}
    print(f"{rounds} checks of 4 healthy hosts: {sum(alarms.values())} findings {alarms or ''}")


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""
Run madengine on one node in a working directory of its own, and tell the supervisor how its models did.

Started as ``python3 -I -S _model.py`` in the run directory's environment; ``model.json`` there says what to
run. madengine ends with exit code 0 whether its models succeed or fail, so what counts is the table that
it writes. Delivered beside the supervisor; private to the collection.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from typing import Any, Dict, List, Set

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True  # Runs share the directory of programs.

import _containers  # type: ignore[import-not-found]  # noqa: E402

TABLE = "perf.csv"
REASON_CHARACTERS = 300
# madengine writes these; from a checkout that was used before they would be taken for this run's.
LEFT_BEHIND = shutil.ignore_patterns(
    ".git", "__pycache__", "perf.csv", "perf*.csv", "perf*.html", "*.live.log", "run_directory"
)


def prepare(checkout: str, place: str) -> None:
    """Give this node its own copy of the checkout: nodes that share one would destroy each other's files."""
    run_dir = os.path.realpath(os.path.dirname(os.path.abspath(place)))
    own = (run_dir, os.path.dirname(run_dir))

    def left_out(directory: str, names: List[str]) -> Set[str]:
        # A copy must not hold itself, should runs be kept in the checkout.
        inner = {name for name in names if os.path.realpath(os.path.join(directory, name)) in own}
        return inner | LEFT_BEHIND(directory, names)

    shutil.copytree(checkout, place, symlinks=True, ignore=left_out)
    # Credential files are among them: what madengine reads and writes here is its user's alone.
    for directory, _, names in os.walk(place):
        for path in [directory, *(os.path.join(directory, name) for name in names)]:
            if not os.path.islink(path):
                os.chmod(path, os.stat(path).st_mode & 0o700)


def rows(path: str) -> List[Dict[str, str]]:
    """Read the table; empty where madengine wrote none."""
    try:
        with open(path, encoding="utf-8", errors="replace", newline="") as stream:
            return [{str(key): str(value or "") for key, value in row.items()} for row in csv.DictReader(stream)]
    except OSError:
        return []


def judge(found: List[Dict[str, str]], status: int, leads: bool, reports: bool) -> List[str]:
    """
    Say what failed, a line each.

    Args:
        status: madengine's own exit code.
        leads: Whether this is the first node: other nodes' ranks print no performance, which madengine takes for a
            failure.
        reports: Whether this madengine is known to write its table on this node.
    """
    failed = []
    if leads:
        for row in found:
            if row.get("status", "").upper() != "SUCCESS":
                failed.append("model %s: %s" % (row.get("model", "?"), row.get("status") or "no status"))
        if not found and reports:
            failed.append("madengine wrote no result")
    if status and not failed:
        how = "exit code %d" % status if status > 0 else signal.Signals(-status).name
        failed.append("madengine failed: %s" % how)
    return failed


def tell(**message: Any) -> None:
    """Tell the supervisor, if it is still there."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as supervisor:
            supervisor.connect("ranks.sock")
            supervisor.sendall(json.dumps(message).encode() + b"\n")
    except OSError:
        pass


def main() -> None:
    """Prepare, run, judge, report."""
    checkout = os.getcwd()
    os.umask(0o077)
    os.chdir(os.environ["MADCTL_RUN_DIR"])
    with open("model.json", encoding="utf-8") as stream:
        job = json.load(stream)
    try:
        _containers.remove(job["replaced"])
        prepare(checkout, "work")
        engine = subprocess.Popen(job["argv"], cwd="work")
    except OSError as error:
        reason = "madengine could not be started: %s" % " ".join(str(error).split())[:REASON_CHARACTERS]
        tell(event="models", rows=[], failed=[reason], exit_code=None)
        sys.exit(1)
    # The whole group is signalled; whoever reports how it ended outlives it.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    status = engine.wait()
    found = rows(os.path.join("work", TABLE))
    failed = judge(found, status, job["leads"], job["reports"])
    tell(event="models", rows=found, failed=failed, exit_code=status)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

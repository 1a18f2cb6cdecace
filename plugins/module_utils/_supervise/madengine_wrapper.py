# SPDX-License-Identifier: Apache-2.0
"""
Run madengine on one node in its own working directory, and report the results of its models to the supervisor.

Started as ``madctl_node.py madengine_wrapper`` in the job's environment; ``model.json`` in the run directory specifies
what to run. Version 1 of madengine ends with exit code 0 whether its models succeed or fail, so the table that it
writes decides. Delivered beside the supervisor; private to the collection.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
from typing import Any, Dict, List, Optional, Set, Union

from ansible_collections.madctl.multinode.plugins.module_utils._common import events, plain_text, run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._node import docker
from ansible_collections.madctl.multinode.plugins.module_utils._supervise import container_calls

REASON_CHARACTERS = 300
TABLE_BYTES = 8 << 20
# The supervisor limits the size of a message; this leaves room for the rest of it.
ROWS_BYTES = 600_000
FAILED = 20
VALUE_CHARACTERS = 2000
# madengine writes these; those of an earlier use of the checkout would be mistaken for this run's.
LEFT_BEHIND = shutil.ignore_patterns(
    *(".git", "__pycache__", "perf.csv", "perf*.csv", "perf*.html", "*.live.log", "run_directory"),
    run_directory.IN_CONTAINER,
)
LOOK_SECONDS = 0.1


def prepare(checkout: str, place: str) -> None:
    """Copy the checkout for this node alone: nodes that share one would destroy each other's files."""
    run_dir = os.path.realpath(os.path.dirname(os.path.abspath(place)))
    own = (run_dir, os.path.dirname(run_dir))

    def left_out(directory: str, names: List[str]) -> Set[str]:
        # A copy must not contain itself, in case run directories are in the checkout.
        inner = {name for name in names if os.path.realpath(os.path.join(directory, name)) in own}
        return inner | LEFT_BEHIND(directory, names)

    shutil.copytree(checkout, place, symlinks=True, ignore=left_out)
    # Credential files are among them, so everything that madengine reads and writes in it is private to its user.
    for directory, _, names in os.walk(place):
        for path in [directory, *(os.path.join(directory, name) for name in names)]:
            if not os.path.islink(path):
                os.chmod(path, os.stat(path).st_mode & 0o700)


def furnish(place: str, scripts: Dict[str, str]) -> str:
    """Write the files for a model's script in its container, and return their directory."""
    inner = os.path.join(place, run_directory.IN_CONTAINER)
    names = (run_directory.CALLS, run_directory.ORDERS, run_directory.BEGUN, run_directory.DONE, run_directory.ASKED)
    for name in names:
        os.makedirs(os.path.join(inner, name), 0o700)
    own = os.path.join(os.path.dirname(os.path.abspath(__file__)), run_directory.CONTAINER_RANK)
    shutil.copyfile(own, os.path.join(inner, run_directory.CONTAINER_RANK))
    for name, text in scripts.items():
        path = os.path.join(inner, name)
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.chmod(path, 0o700)
    # Another name of the same socket, by which the container reaches it.
    os.link(run_directory.RANKS_SOCKET, os.path.join(inner, run_directory.RANKS_SOCKET))
    return inner


def calls(inner: str, leads: bool) -> Optional[Union[container_calls.Asking, container_calls.Waiting]]:
    """Return the carrier of the runner's calls under mpirun; None if torchrun starts ranks."""
    try:
        with open(run_directory.RELAY_KEY, encoding="ascii") as stream:
            key = stream.read()
    except FileNotFoundError:
        return None
    shared = container_calls.Shared(inner)
    return container_calls.Asking(shared, key) if leads else container_calls.Waiting(shared, key)


def rows(path: str) -> Optional[List[Dict[str, str]]]:
    """Read the table; None if it does not exist."""
    try:
        with open(path, encoding="utf-8", errors="replace", newline="") as stream:
            text = stream.read(TABLE_BYTES)
            if stream.read(1):
                return [{"model": "?", "status": "a table too long to read"}]
        lines = io.StringIO(text.replace("\0", ""), newline="")
        # Version 1 writes a blank after each comma of the header until there is a row.
        found = csv.DictReader(lines, skipinitialspace=True)
        return [{shown(key): shown(value or "") for key, value in row.items()} for row in found]
    except (OSError, csv.Error):
        return None


def shown(value: object) -> str:
    """Return a value of a table, which may be any text of a model, in a form that is safe to print."""
    return "".join(character if character.isprintable() else "?" for character in str(value)[:VALUE_CHARACTERS])


def judge(found: Optional[List[Dict[str, str]]], status: int, job: Dict[str, Any]) -> List[str]:
    """
    Return the failures, one line each: success has to be shown on every node.

    Args:
        found: madengine's table, None without one.
        status: madengine's own exit code.
        job: Among others whether this node ``leads``, the ``version`` of its madengine, None if unknown, and whether it
            ``skips`` its table.
    """
    failed = []
    for row in found or []:
        if not is_well(row, job["leads"], job["version"]):
            reason = row.get("status") or "no status"
            reason += "" if job["leads"] else ": its container or script failed here"
            failed.append("model %s: %s" % (row.get("model", "?"), reason))
    # Version 1 always writes the header of its table, even if all its models are deprecated; version 2 writes it
    # together with its first row.
    missing = found is None if job["version"] != 2 else job["leads"] and not found and not job["skips"]
    if missing and not status:
        failed.append("madengine wrote no result")
    if status and not failed:
        how = "exit code %d" % status if status > 0 else signal_name(-status)
        failed.append("madengine failed: %s" % how)
    return failed


def is_well(row: Dict[str, str], leads: bool, version: Optional[int]) -> bool:
    """
    Return whether a row is that of a model that did its part on this node.

    Ranks on other nodes than the first print no performance, which version 1 treats as a failure; it records how long
    the script took only if that ended with exit code 0.
    """
    status = row.get("status", "").upper()
    if status in ("SUCCESS", "SKIPPED"):
        return True
    return status == "FAILURE" and not leads and version != 2 and is_number(row.get("test_duration", ""))


def is_number(text: str) -> bool:
    """Return whether a text is a finite number."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def alone(found: Optional[List[Dict[str, str]]], job: Dict[str, Any]) -> List[str]:
    """Return the models that formed a separate world here: in one world, only the first node prints performance."""
    if job["leads"] or not job["many"]:
        return []
    return [
        row.get("model", "?")
        for row in found or []
        if row.get("status", "").upper() == "SUCCESS" and (job["version"] != 2 or row.get("performance", "").strip())
    ]


def signal_name(number: int) -> str:
    """Return the usual name of a signal."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return "signal %d" % number


def shortened(found: List[Dict[str, str]]) -> List[Dict[str, str]]:
    """Return a table without its last rows if it is too long for one message."""
    room, kept = ROWS_BYTES, []
    for row in found:
        room -= len(json.dumps(row))
        if room < 0:
            break
        kept.append(row)
    return kept


def tell(**message: Any) -> None:
    """Send a message to the supervisor, if it is still running."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as supervisor:
        supervisor.connect(run_directory.RANKS_SOCKET)
        supervisor.sendall(json.dumps(message).encode() + b"\n")


def main() -> None:
    """Prepare, run, judge, report."""
    checkout = os.getcwd()
    umask = os.umask(0o077)
    # Version 1 would copy MODEL_DIR, with tables of earlier runs, over the copy.
    environment = {name: value for name, value in os.environ.items() if name != "MODEL_DIR"}
    os.chdir(os.environ[run_directory.RUN_DIR])
    with open(run_directory.MODEL, encoding="utf-8") as stream:
        job = json.load(stream)
    place = run_directory.WORK
    try:
        docker.remove(job["replaced"])
        prepare(checkout, place)
        inner = furnish(place, job["scripts"])
        carrier = calls(inner, job["leads"])
        table = os.path.join(place, job["table"])
        # Rows of earlier runs would be mistaken for this run's: madengine appends to its table.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(table)
        # Files that madengine writes elsewhere, such as a mirror, have the user's own permissions; the copy is private
        # anyway.
        engine = subprocess.Popen(job["argv"], cwd=place, env=environment, preexec_fn=lambda: os.umask(umask))
    except (OSError, subprocess.SubprocessError) as error:
        why = " ".join(plain_text.reason(error, is_named=True).split())[:REASON_CHARACTERS]
        reason = "madengine could not be started: %s" % why
        tell(event=events.MODELS, rows=[], failed=[reason], alone=[], exit_code=None)
        sys.exit(1)
    # The whole process group is signalled; this process must outlive it to report how it ended.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    while carrier is not None and engine.poll() is None:
        carrier.look()
        with contextlib.suppress(subprocess.TimeoutExpired):
            engine.wait(LOOK_SECONDS)
    if carrier is not None:
        carrier.look()  # The first node also has to learn about the end of the last daemon.
    status = engine.wait()
    found = rows(table)
    failed, own = judge(found, status, job), alone(found, job)
    code, why = container_calls.trouble(container_calls.Shared(inner)) if failed else (None, "")
    if failed and code:
        failed[:0] = [why]
    about = {"rows": shortened(found or []), "failed": failed[:FAILED], "alone": own[:FAILED]}
    tell(event=events.MODELS, **about, exit_code=status, mpi=code)
    sys.exit(1 if failed or own else 0)

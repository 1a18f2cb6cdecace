# SPDX-License-Identifier: Apache-2.0
"""Launches that continue while a test does something to them, and what they say."""

import contextlib
import subprocess
import sys
import threading

import pytest

from tests.integration.command import JOBS, MADCTL, madctl, wait_for
from tests.integration.run_answers import states

FOLLOWERS = []
# What each host's rank or command prints; the line that names the work may have the word, too.
WAITING = "│ waiting"


def launching(lab, hosts):
    return ["launch", "--lab", lab.name, "--hosts", hosts, "--python", sys.executable]


def start(lab, *words):
    """Launch on two hosts, with everything it says on one stream."""
    argv = [str(MADCTL), *launching(lab, "node1,node2"), "--", *words]
    return subprocess.Popen(argv, cwd=JOBS, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1)


def follow(lab, *words, hosts="node1,node2,node3", marker=WAITING):
    """Launch attached and wait for a job that goes on every host, as its marker says; also give the run's id."""
    argv = [str(MADCTL), "launch", "--lab", lab.name, "--hosts", hosts, "--python", sys.executable, *words]
    process = subprocess.Popen(argv, cwd=JOBS, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1)
    FOLLOWERS.append(process)
    if marker:
        read_until(process, marker, len(hosts.split(",")) if marker == WAITING else 1)
        run_id = madctl("ps", "--output", "json").json["data"]["runs"][0]["run_id"]
        # What has printed may be ahead of other nodes; a fault is to hit a healthy run.
        wait_for(lambda: set(states(run_id).values()) == {"running"})
        return process, run_id
    return process


def end_followers():
    """End what a test left that failed in the middle; one whose hosts are gone would look for them for ever."""
    for process in FOLLOWERS:
        process.kill()
        process.wait()
    FOLLOWERS.clear()


def read_until(process, marker, times=1):
    """Read up to the line that holds ``marker`` and give it all; a line that is not there fails the test, a late one, too."""
    seen = []
    with bounded(process):
        for line in process.stdout:
            seen.append(line)
            times -= marker in line
            if not times:
                return "".join(seen)
    pytest.fail("never seen: " + "".join(seen))


@contextlib.contextmanager
def bounded(process, seconds=200):
    """Kill a process whose lines are not read in time: its reader then comes to their end, and does not hang."""
    watch = threading.Timer(seconds, process.kill)
    watch.start()
    try:
        yield
    finally:
        watch.cancel()

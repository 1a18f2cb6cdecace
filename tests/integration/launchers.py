# SPDX-License-Identifier: Apache-2.0
"""Launches that continue while a test does something to them, and what they say."""

import subprocess
import sys
import threading

import pytest

from tests.integration.command import JOBS, MADCTL, madctl
from tests.integration.run_answers import running

FOLLOWERS = []


def launching(lab, hosts):
    return ["launch", "--lab", lab.name, "--hosts", hosts, "--python", sys.executable]


def start(lab, *words):
    """Launch on two hosts, with everything it says on one stream."""
    argv = [str(MADCTL), *launching(lab, "node1,node2"), "--", *words]
    return subprocess.Popen(argv, cwd=JOBS, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1)


def follow(lab, *words, hosts="node1,node2,node3", marker="waiting"):
    """Launch attached and wait for a job that goes; also give the run's id."""
    argv = [str(MADCTL), "launch", "--lab", lab.name, "--hosts", hosts, "--python", sys.executable, *words]
    process = subprocess.Popen(argv, cwd=JOBS, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1)
    FOLLOWERS.append(process)
    if marker:
        read_until(process, marker)
        run_id = madctl("ps", "--output", "json").json["data"]["runs"][0]["run_id"]
        running(lab, run_id)
        return process, run_id
    return process


def end_followers():
    """End what a test left that failed in the middle; one whose hosts are gone would look for them for ever."""
    for process in FOLLOWERS:
        process.kill()
        process.wait()
    FOLLOWERS.clear()


def read_until(process, marker):
    """Read up to the line that holds ``marker`` and give it all; a line that is not there fails the test, a late one, too."""
    seen = []
    watch = threading.Timer(90, process.kill)
    watch.start()
    try:
        for line in process.stdout:
            seen.append(line)
            if marker in line:
                return "".join(seen)
    finally:
        watch.cancel()
    pytest.fail("never seen: " + "".join(seen))

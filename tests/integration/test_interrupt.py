# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C in every stage leaves no process on any host; the stage is seen, never guessed by time."""

import os
import signal
import sys

import pytest

from tests.integration.command import madctl, wait_for
from tests.integration.launchers import read_until, start

pytestmark = pytest.mark.lab


@pytest.mark.parametrize("marker", ["probe ", "plan ", "arm ", "go ", "waiting"])
def test_one_interrupt_stops_everything(lab, marker):
    process = start(lab, "wait.py", "leak")
    read_until(process, marker)
    os.kill(process.pid, signal.SIGINT)
    output = process.stdout.read()

    assert process.wait(timeout=60) == 130, output


def test_a_second_interrupt_kills_what_ignores_the_first(lab):
    process = start(lab, "wait.py", "stubborn")
    for marker in ("waiting", "stopping all nodes"):
        read_until(process, marker)
        os.kill(process.pid, signal.SIGINT)
    # A deadline below the 30 seconds that torchrun alone would give its workers.
    output, _ = process.communicate(timeout=25)

    assert process.returncode == 130, output


def test_an_interrupt_while_nodes_still_prove_and_arm_leaves_nothing_armed(lab, on):
    dropping = ("-s", lab.host("node2").data_address, "-p", "tcp", "-j", "DROP")
    on("node1", "iptables", "-A", "INPUT", *dropping)
    try:
        process = start(lab, "wait.py")
        read_until(process, "plan ")
        # The first node listens, and would continue to arm although it is no longer awaited.
        wait_for(lambda: on("node2", "ss", "-Htn", "state", "syn-sent"))
        os.kill(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=120)
    finally:
        on("node1", "iptables", "-D", "INPUT", *dropping)

    assert process.returncode == 130, output
    assert madctl("check", "--lab", lab.name, "--hosts", "node1,node2", "--python", sys.executable).code == 0

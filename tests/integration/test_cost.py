# SPDX-License-Identifier: Apache-2.0
"""A node is asked for one SSH session and one Python start, and keeps only what is documented."""

import itertools
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from madctl.lab import state
from tests.integration.command import JOBS, MADCTL, madctl, wait_for
from tests.integration.host_processes import left_behind, processes_of
from tests.integration.launchers import FOLLOWERS

pytestmark = pytest.mark.lab
HOSTS = ("node1", "node2", "node3")
COUNTED = "/opt/counted-python"
STARTS = "/opt/python-starts"
WRAPPER = f"""#!/bin/sh
echo "$$" >> {STARTS}
exec /usr/bin/python3 "$@"
"""
BELOW = ("/var/tmp", "/root")
PAGE = Path(__file__).parents[2] / "docs/reference/run_directory.md"
START_STACK = 28  # of proc_pid_stat(5): chosen again by every exec, and by no fork
# What every run of a user shares.
LASTING = ("/var/tmp/madctl-0", "/var/tmp/madctl-0/lock")


@pytest.fixture
def inventory(lab, on, tmp_path):
    """Write the lab's inventory with a Python that counts its starts, and count from zero."""
    for host in HOSTS:
        on(host, "sh", "-c", f"cat > {COUNTED} <<'END'\n{WRAPPER}END\nchmod 755 {COUNTED}; rm -f {STARTS}")
    content = yaml.safe_load((state.directory(lab.name) / "inventory.yml").read_text())
    content["all"]["vars"]["ansible_python_interpreter"] = COUNTED
    path = tmp_path / "hosts.yml"
    path.write_text(yaml.safe_dump(content))
    return ["-i", str(path), "--limit", ",".join(HOSTS)]


@pytest.fixture
def cost(on):
    """Return what each node did since the last call: sessions, by its sshd, and Python starts."""
    before = {}

    def counted(host):
        sessions = on(host, "grep", "-c", "Starting session", "/run/lab/sshd.log", check=False).strip()
        starts = on(host, "sh", "-c", f"cat {STARTS} 2>/dev/null | wc -l").strip()
        return int(sessions or 0), int(starts)

    def since():
        now = {host: counted(host) for host in HOSTS}
        used = {host: tuple(map(int.__sub__, now[host], before.get(host, (0, 0)))) for host in HOSTS}
        before.update(now)
        return used

    since()
    return since


ONE_OF_EACH = dict.fromkeys(HOSTS, (1, 1))


@pytest.mark.parametrize("command", ["launch", "check"])
def test_a_launch_costs_a_node_one_session_and_one_python(inventory, cost, command):
    done = madctl(command, *inventory, "--output", "json", "--command", "--", "true")

    assert done.code == 0, done.err
    assert cost() == ONE_OF_EACH


def test_the_status_of_a_run_costs_a_node_one_session_and_one_python(inventory, cost):
    done = madctl("launch", *inventory, "--detach", "--output", "json", "--command", "--", "sleep", "600")
    assert done.code == 0, done.err
    assert cost() == ONE_OF_EACH
    status = madctl("status", done.json["run_id"])
    asked = cost()
    madctl("stop", done.json["run_id"])

    assert status.code == 0, status.err
    assert asked == ONE_OF_EACH


def executions(lab, host, words):
    """
    Find the processes of a host that have these words in their command lines, and tell apart what they execute.

    A process that was only forked has its parent's execution.
    """
    found = set()
    for pid in processes_of(lab.host(host).init_pid):
        process = Path(f"/proc/{pid}")
        try:
            if words in (process / "cmdline").read_bytes():
                fields = (process / "stat").read_text().rpartition(")")[2].split()
                found.add(((process / "exe").readlink(), fields[START_STACK - 3]))
        except OSError:
            continue
    return found


def test_a_supervisor_is_forked_from_the_agent_that_looked_at_the_node(lab, inventory, on):
    work = "touch /opt/runs; while [ -e /opt/runs ]; do sleep 0.1; done"
    argv = [str(MADCTL), "launch", *inventory, "--output", "json", "--command", "--", "sh", "-c", work]
    launch = subprocess.Popen(argv, cwd=JOBS, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    FOLLOWERS.append(launch)
    try:
        wait_for(lambda: all(on(host, "find", "/opt/runs", check=False) for host in HOSTS))
        agents, own = (
            {host: executions(lab, host, words) for host in HOSTS} for words in (b"madctl\0agent\0", b"\0supervisor\0")
        )
    finally:
        for host in HOSTS:
            on(host, "rm", "-f", "/opt/runs")
        _, err = launch.communicate(timeout=180)

    assert launch.returncode == 0, err
    # An agent of an earlier command may still be about to end.
    assert {host: (len(own[host]), own[host] <= agents[host]) for host in HOSTS} == dict.fromkeys(HOSTS, (1, True))
    # What two executions have in common says nothing.
    assert len(set().union(*own.values())) == len(HOSTS)


@pytest.fixture
def empty(on):
    """Hide this machine's directories where programs may leave files; otherwise they show through on hosts."""
    for host, place in itertools.product(HOSTS, BELOW):
        on(host, "mount", "-t", "tmpfs", "-o", "mode=1777" if place == "/var/tmp" else "mode=0700", "tmpfs", place)
    yield
    for host, place in itertools.product(HOSTS, BELOW):
        on(host, "umount", "--lazy", place)


def listing(on, host):
    return set(on(host, "find", *BELOW, "/tmp", "/run").splitlines())


def kept():
    """Read from the reference what of a run stays until ``gc`` removes it."""
    rows = [line.strip("|").split("|") for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    words = [word for row in rows if "gc" in row[-1] for word in re.findall(r"`([^`]+)`", row[0])]
    return {word.partition("/")[0] for word in words} | {"logs", "bin-SHA256"}


def test_a_node_keeps_what_is_documented_and_nothing_else(lab, inventory, empty, on):
    del empty
    before = {host: listing(on, host) for host in HOSTS}
    done = madctl("launch", *inventory, "--output", "json", "--command", "--", "true")
    assert done.code == 0, done.err
    assert madctl("check", *inventory, "--command", "--", "true").code == 0
    assert madctl("status", done.json["run_id"]).code == 0
    # A supervisor removes its sockets after the word of its end.
    wait_for(lambda: left_behind(lab) == [])
    for host in HOSTS:
        place = f"/var/tmp/madctl-0/{done.json['run_id']}"
        new = listing(on, host) - before[host]
        programs = {path for path in new if path.startswith("/var/tmp/madctl-0/bin-")}
        own = {path.removeprefix(place + "/") for path in new if path.startswith(place + "/")}

        assert new - programs - {f"{place}/{path}" for path in own} <= {place, *LASTING}
        assert {path.partition("/")[0] for path in own} <= kept()
        assert {"run.json", "events.jsonl", "exit.json", "logs/runner.out", "logs/runner.err"} <= own

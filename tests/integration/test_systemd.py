# SPDX-License-Identifier: Apache-2.0
"""A real host that systemd runs, with cgroup2: what is started there ends there."""

import os
import subprocess
import sys

import pytest

from tests.integration import uml_cluster
from tests.integration.command import madctl, wait_for
from tests.integration.uml_cluster import UmlCluster

KIND = {"server": False, "systemd": True}
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="User Mode Linux hosts need root"),
    pytest.mark.skipif(
        bool(uml_cluster.missing(**KIND)), reason=f"not installed: {' '.join(uml_cluster.missing(**KIND))}"
    ),
]

# Two processes that end by SIGKILL only, the second in a session of its own. Each makes a file when it ignores SIGTERM.
# There is no "$" in it: systemd takes one in a unit's command for a variable of its own.
STUBBORN = "trap '' TERM; setsid sh -c ': > /run/child; exec sleep 4321' & : > /run/job; exec sleep 4321"


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    """A cluster of one host, u1."""
    with UmlCluster(tmp_path_factory.mktemp("uml"), count=1, **KIND) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def control(host, tmp_path_factory):
    """Where madctl's connections to the host are kept; they end before it does."""
    directory = tmp_path_factory.mktemp("cp")
    yield str(directory)
    for path in directory.rglob("*"):
        subprocess.run(["ssh", "-O", "exit", "-S", str(path), "x"], capture_output=True, check=False)


@pytest.fixture
def launch(host, control):
    """Launch a command on the host: ``launch("--", "true")``."""

    def run(*words, env=None, **more):
        options = ["--hosts", "u1", "--ssh-config", str(host.ssh_config), "--python", sys.executable]
        env = {"ANSIBLE_SSH_CONTROL_PATH_DIR": control, **(env or {})}
        return madctl("launch", *options, "--output", "json", "--command", *words, env=env, **more)

    return run


def test_systemd_runs_the_host(host):
    said = host.run("u1", "systemctl is-system-running --wait; cat /proc/1/comm; stat -f -c %T /sys/fs/cgroup")

    assert said.stdout.split() == ["running", "systemd", "cgroup2fs"]


def test_a_stopped_unit_leaves_nothing(host):
    group = "/sys/fs/cgroup/system.slice/x.service"
    options = ["--unit=x", "--collect", "-p", "Type=exec", "-p", "KillMode=mixed", "-p", "TimeoutStopSec=3"]
    host.run("u1", "systemd-run", *options, "sh", "-c", STUBBORN)
    host.run("u1", "until [ -e /run/job ] && [ -e /run/child ]; do :; done")
    stats = host.run("u1", f"while read -r pid; do cat /proc/$pid/stat; done < {group}/cgroup.procs").stdout
    processes = [line.split() for line in stats.splitlines()]
    assert len(processes) == 2
    assert all(process[0] == process[5] for process in processes), "each leads a session"

    host.run("u1", "systemctl", "stop", "x")

    left = host.run("u1", f"pgrep -x -a sleep; ls -d {group}; systemctl is-active x", check=False)
    assert left.stdout == "inactive\n"


# A child without a mark in its environment, in a session of its own: only the kernel knows whose it is.
HIDDEN = "env -i setsid sleep 4322 & exec sleep 4321"


@pytest.fixture
def detached(host, launch, control, tmp_path, monkeypatch):
    """A run on the host that was let go."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("ANSIBLE_SSH_CONTROL_PATH_DIR", control)
    done = launch("--detach", "--", "sh", "-c", HIDDEN)
    assert done.code == 0, done.err
    wait_for(lambda: sleeping(host) == "2")
    return done.json["run_id"]


def units(host):
    """List what systemd knows of services of runs, living and failed."""
    return host.run("u1", "systemctl list-units --all --plain --no-legend 'madctl-*'").stdout


def sleeping(host):
    return host.run("u1", "pgrep -x -c sleep", check=False).stdout.strip()


def test_a_run_is_a_service_and_leaves_none(host, detached):
    [status] = madctl("status", "--output", "json").json["data"]["nodes"]
    assert (status["state"], status["container"]) == ("running", "systemd")
    assert f"madctl-{detached}.service" in units(host)

    stopped = madctl("stop", "--force")

    assert stopped.code == 0, stopped.err
    assert (units(host), sleeping(host)) == ("", "0")


def test_systemd_ends_what_a_killed_supervisor_leaves(host, detached):
    host.run("u1", "pkill -9 -f 'madctl_node.py supervisor'")
    host.run("u1", "while pgrep -x sleep; do :; done")
    [status] = madctl("status", "--output", "json").json["data"]["nodes"]
    assert status["state"] == "lost"
    wait_for(lambda: "failed" in units(host))

    assert madctl("stop").code == 0
    assert units(host) == ""


def test_a_run_outlives_the_service_of_the_login(host, detached):
    """Where systemd kills what a login leaves, a run lives on."""
    groups = host.run("u1", "for p in $(pgrep -x sleep); do cat /proc/$p/cgroup; done").stdout.split()

    assert set(groups) == {f"0::/system.slice/madctl-{detached}.service"}
    assert madctl("stop", "--force").code == 0

# SPDX-License-Identifier: Apache-2.0
"""The lab: what hosts see, what they do not, and that nothing is left of it."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from madctl.lab import power, state
from tests.integration.command import MADCTL, madctl

pytestmark = [pytest.mark.lab, pytest.mark.skipif(os.geteuid() != 0, reason="the lab needs root")]


NAMES = ("one", "two", "cut")


def traces(uplinks=()):
    """List what labs of these tests left on the machine, on which there may be others."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    found = [line for line in mounts if any(f"/lab/{name}/" in line or f"/lab/{name} " in line for name in NAMES)]
    found += [name for number, name in socket.if_nameindex() if (number, name) in uplinks]
    found += [str(pid) for name in NAMES for pid in state.marked_processes(name)]
    return found + [name for name in state.names() if name in NAMES]


@pytest.fixture
def clean():
    assert traces() == []
    yield
    names = [state.load(name).uplink for name in state.names() if name in ("one", "two")]
    # By number: the name goes to the next lab, which another test may start at once.
    uplinks = [(number, name) for number, name in socket.if_nameindex() if name in names]
    for name in NAMES:
        power.down(name)
    assert traces(uplinks) == []


def inside(name, host, *words, **more):
    argv = [str(MADCTL), "lab", "exec", "--name", name, host, "--", *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=30, **more)


def test_hosts_are_hosts_of_their_own(clean):
    assert madctl("lab", "up", "-n", "2", "--name", "one", "--interface-name", "node2=ib0").code == 0
    for path in ("/etc/machine-id", "/proc/sys/kernel/random/boot_id", "/etc/hostname"):
        values = {inside("one", host, "cat", path).stdout for host in ("node1", "node2")} | {Path(path).read_text()}
        assert len(values) == 3, path
    inside("one", "node1", "sh", "-c", "touch /root/mine /tmp/mine /dev/shm/mine /etc/mine")
    assert inside("one", "node2", "ls", "/root/mine").returncode != 0
    assert not any(Path(path).exists() for path in ("/root/mine", "/tmp/mine", "/dev/shm/mine", "/etc/mine"))
    assert "172.17.0.1" in inside("one", "node1", "ip", "addr", "show", "docker0").stdout
    assert "10.82." in inside("one", "node2", "ip", "addr", "show", "ib0").stdout
    assert inside("one", "node1", "ls", "/run/madctl").returncode != 0
    denied = inside("one", "node1", "ssh", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "node2", "true")
    assert denied.returncode == 255


def test_the_data_network_is_out_of_reach_of_the_login_side(clean):
    lab = power.up("one", 2, {})
    routes = subprocess.run(["ip", "route", "get", lab.hosts[0].data_address], capture_output=True, text=True)

    assert lab.uplink not in routes.stdout
    probe = "import socket,sys;socket.create_connection((sys.argv[1],22),3)"
    refused = inside("one", "node1", sys.executable, "-c", probe, lab.hosts[1].data_address)
    assert "Connection refused" in refused.stderr, "hosts reach each other there; only no sshd listens"


def test_exec_passes_stdin_exit_code_and_path(clean):
    power.up("one", 1, {})

    assert inside("one", "node1", "cat", input="text\n").stdout == "text\n"
    assert inside("one", "node1", "sh", "-c", "exit 42").returncode == 42
    assert inside("one", "node1", "sh", "-c", "echo $PATH").stdout.strip() == os.environ["PATH"]
    pid = inside("one", "node1", "sh", "-c", "sleep 60 >/dev/null 2>&1 & echo $!").stdout.strip()
    assert inside("one", "node1", "cat", f"/proc/{pid}/comm").stdout == "sleep\n"


def test_the_callers_directory_is_visible_and_read_only(clean, tmp_path):
    (tmp_path / "here").write_text("yes")
    assert madctl("lab", "up", "-n", "1", "--name", "one", cwd=tmp_path).code == 0
    seen = inside("one", "node1", "cat", "here", cwd=tmp_path)
    written = inside("one", "node1", "touch", "new", cwd=tmp_path)

    assert seen.stdout == "yes"
    assert written.returncode != 0


def test_up_twice_is_an_error_and_two_labs_live_side_by_side(clean):
    assert madctl("lab", "up", "-n", "1", "--name", "one").code == 0
    again = madctl("lab", "up", "-n", "1", "--name", "one")
    assert (again.code, "LAB_IS_UP" in again.err) == (2, True)
    assert madctl("lab", "up", "-n", "2", "--name", "two").code == 0
    assert madctl("lab", "status", "--name", "one").out.count(" up ") == 1
    assert madctl("lab", "status", "--name", "two").out.count(" up ") == 2


def test_down_cleans_up_after_an_up_that_was_killed_half_way(clean):
    process = subprocess.Popen([str(MADCTL), "lab", "up", "-n", "40", "--name", "cut"], stderr=subprocess.DEVNULL)
    while not (state.ROOT / "cut" / "disks" / "node9").exists():
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert state.marked_processes("cut"), "it really was half way"
    assert madctl("lab", "down", "--name", "cut").code == 0


def test_without_what_it_needs_it_says_so_in_one_line(clean, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", "import madctl.lab.power as p; p._SYSTEM_PATH=''; p.require_machine()"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )

    assert "apt-get install -y iproute2 openssh-client openssh-server util-linux" in done.stderr

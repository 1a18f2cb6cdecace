# SPDX-License-Identifier: Apache-2.0
"""The lab: what hosts see, what they do not, and that nothing is left of it."""

import json
import os
import signal
import socket
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from madctl.lab import power, state
from madctl.lab.spec import Mount
from tests.integration.command import MADCTL, madctl

pytestmark = [pytest.mark.lab, pytest.mark.skipif(os.geteuid() != 0, reason="the lab needs root")]


# Of this run of the tests alone: labs are the machine's.
NAMES = ONE, TWO, CUT = tuple(f"test-{name}-{uuid.uuid4().hex[:8]}" for name in ("one", "two", "cut"))


def traces(uplinks=()):
    """List what labs of these tests left on the machine, on which there may be others."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    found = [line for line in mounts if any(f"/lab/{name}/" in line or f"/lab/{name} " in line for name in NAMES)]
    found += [name for number, name in socket.if_nameindex() if (number, name) in uplinks]
    found += [str(pid) for name in NAMES for pid in state.marked_processes(name)]
    found += [str(path) for path in map(state.shared_directory, NAMES) if path.exists()]
    return found + [name for name in state.names() if name in NAMES]


@pytest.fixture
def clean():
    assert traces() == []
    yield
    names = [state.load(name).uplink for name in state.names() if name in (ONE, TWO)]
    # By number: the name goes to the next lab, which another test may start at once.
    uplinks = [(number, name) for number, name in socket.if_nameindex() if name in names]
    for name in NAMES:
        power.down(name)
    assert traces(uplinks) == []


def inside(name, host, *words, **more):
    argv = [str(MADCTL), "lab", "exec", "--name", name, host, "--", *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=120, **more)


def test_hosts_are_hosts_of_their_own(clean):
    assert madctl("lab", "up", "-n", "2", "--name", ONE, "--interface-name", "node2=ib0").code == 0
    for path in ("/etc/machine-id", "/proc/sys/kernel/random/boot_id", "/etc/hostname"):
        values = {inside(ONE, host, "cat", path).stdout for host in ("node1", "node2")} | {Path(path).read_text()}
        assert len(values) == 3, path
    inside(ONE, "node1", "sh", "-c", "touch /root/mine /tmp/mine /dev/shm/mine /etc/mine")
    assert inside(ONE, "node2", "ls", "/root/mine").returncode != 0
    assert not any(Path(path).exists() for path in ("/root/mine", "/tmp/mine", "/dev/shm/mine", "/etc/mine"))
    assert "172.17.0.1" in inside(ONE, "node1", "ip", "addr", "show", "docker0").stdout
    assert "10.82." in inside(ONE, "node2", "ip", "addr", "show", "ib0").stdout
    assert inside(ONE, "node1", "ls", "/run/madctl").returncode != 0
    denied = inside(ONE, "node1", "ssh", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "node2", "true")
    assert denied.returncode == 255


def test_the_data_network_is_out_of_reach_of_the_login_side(clean):
    lab = power.up(ONE, 2, {})
    routes = subprocess.run(["ip", "route", "get", lab.hosts[0].data_address], capture_output=True, text=True)

    assert lab.uplink not in routes.stdout
    probe = "import socket,sys;socket.create_connection((sys.argv[1],22),3)"
    refused = inside(ONE, "node1", sys.executable, "-c", probe, lab.hosts[1].data_address)
    assert "Connection refused" in refused.stderr, "hosts reach each other there; only no sshd listens"


def test_exec_passes_stdin_exit_code_and_path(clean):
    power.up(ONE, 1, {})

    assert inside(ONE, "node1", "cat", input="text\n").stdout == "text\n"
    assert inside(ONE, "node1", "sh", "-c", "exit 42").returncode == 42
    assert inside(ONE, "node1", "sh", "-c", "echo $PATH").stdout.strip() == os.environ["PATH"]
    started = "sleep 600 >/dev/null 2>&1 & until grep -q sleep /proc/$!/comm; do :; done; echo $!"
    pid = inside(ONE, "node1", "sh", "-c", started).stdout.strip()
    assert inside(ONE, "node1", "cat", f"/proc/{pid}/comm").stdout == "sleep\n"


def test_the_callers_directory_is_visible_and_read_only(clean, tmp_path):
    (tmp_path / "here").write_text("yes")
    assert madctl("lab", "up", "-n", "1", "--name", ONE, cwd=tmp_path).code == 0
    seen = inside(ONE, "node1", "cat", "here", cwd=tmp_path)
    written = inside(ONE, "node1", "touch", "new", cwd=tmp_path)

    assert seen.stdout == "yes"
    assert written.returncode != 0


def test_hosts_share_a_directory_that_goes_with_the_lab(clean):
    umask = os.umask(0o077)
    try:
        assert madctl("lab", "up", "-n", "2", "--name", ONE).code == 0
    finally:
        os.umask(umask)
    shared = Path(madctl("lab", "status", "--name", ONE, "--output", "json").json["data"]["shared"])
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c"]
    assert inside(ONE, "node1", *user, f"echo yes > /shared/file && echo more >> {shared}/file").returncode == 0

    assert inside(ONE, "node2", "cat", "/shared/file").stdout == "yes\nmore\n"
    assert inside(ONE, "node2", "cat", str(shared / "file")).stdout == "yes\nmore\n"
    assert (shared / "file").read_text() == "yes\nmore\n"
    assert madctl("lab", "down", "--name", ONE).code == 0
    assert not shared.exists()


def test_what_a_reboot_left_in_the_shared_directory_is_not_in_the_next_lab(clean):
    old = state.shared_directory(ONE)
    old.mkdir(parents=True)
    (old / "file").touch()
    assert madctl("lab", "up", "-n", "1", "--name", ONE).code == 0

    assert list(old.iterdir()) == []
    assert inside(ONE, "node1", "ls", "-A", "/shared").stdout == ""


@pytest.fixture
def below(tmp_path):
    """Two directories of this machine, of which one has another file system mounted below it."""
    wide, narrow = tmp_path / "wide", tmp_path / "a narrow one"
    wide.mkdir()
    (narrow / "more").mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", str(narrow / "more")], check=True)
    yield wide, narrow
    power.down(ONE)
    subprocess.run(["umount", str(narrow / "more")], check=True)


def test_a_mount_is_at_the_same_path_in_every_host(clean, below):
    wide, narrow = below
    done = madctl("lab", "up", "--name", ONE, "--mount", str(wide), "--mount", f"{narrow}:ro", cwd=wide)
    assert done.code == 0, done.err
    (narrow / "file").write_text("here")

    assert inside(ONE, "node1", "touch", str(wide / "new")).returncode == 0
    assert (wide / "new").exists()
    assert inside(ONE, "node2", "ls", str(wide)).stdout == "new\n"
    assert inside(ONE, "node2", "cat", str(narrow / "file")).stdout == "here"
    for path in (narrow / "new", narrow / "more" / "new"):
        assert "Read-only file system" in inside(ONE, "node1", "touch", str(path)).stderr
    assert madctl("lab", "up", "--name", TWO, "--mount", "/etc").code == 2
    assert not state.directory(TWO).exists()


def test_status_shows_hosts_mounts_and_what_is_shared(clean, tmp_path):
    assert madctl("lab", "up", "-n", "2", "--name", ONE, "--mount", f"{tmp_path}:ro").code == 0
    lab = state.load(ONE)
    power.power_off(lab.hosts[1])
    shown = madctl("lab", "status", "--name", ONE).out
    data = json.loads(madctl("lab", "status", "--name", ONE, "--output", "json").out)["data"]

    rows = dict(line.split(maxsplit=1) for line in shown.splitlines() if line)
    assert rows["/shared"] == f"{lab.shared} of this machine, writable"
    assert rows[str(tmp_path)] == "read-only"
    assert (data["shared"], data["mounts"]) == (lab.shared, [{"path": str(tmp_path), "read_only": True}])
    assert [(host["name"], host["state"]) for host in data["hosts"]] == [("node1", "up"), ("node2", "off")]
    assert data["hosts"][0]["data_address"] == lab.hosts[0].data_address
    missing = madctl("lab", "status", "--name", TWO, "--output", "json")
    assert (missing.code, missing.codes) == (2, ["LAB_NOT_UP"])


RESOLVE = """
import socket, sys
for name, *addresses in (words.split(",") for words in sys.argv[1:]):
    assert addresses[0] in {found[4][0] for found in socket.getaddrinfo(name, 1)}, name
    for address in addresses:
        for written in (address, "::ffff:" + address):
            known = socket.getnameinfo((written, 1), socket.NI_NAMEREQD)[0]
            assert known.partition("-")[0] == name, (written, known)
"""


def test_hosts_find_addresses_by_names_and_names_by_addresses(clean):
    lab = power.up(ONE, 2, {})
    words = [f"{host.name},{host.management_address},{host.data_address}" for host in lab.hosts]
    for host in lab.hosts:
        done = inside(ONE, host.name, sys.executable, "-c", RESOLVE, *words)
        assert done.returncode == 0, done.stderr


def launch(*words):
    return madctl("launch", "--lab", ONE, "--output", "json", *words, "--command", "--", "true")


def test_storage_of_lab_hosts_is_judged_by_proof_where_there_can_be_one(clean, tmp_path):
    lab = power.up(ONE, 2, {}, [Mount(str(tmp_path))])
    for host in lab.hosts:
        assert inside(ONE, host.name, "sh", "-c", "mkdir /plain && echo x > /plain/data").returncode == 0
    both = [("MOUNT_NOT_SHARED", "node1"), ("MOUNT_NOT_SHARED", "node2")]
    bound = [("MOUNT_IS_BIND", "node1"), ("MOUNT_IS_BIND", "node2")]

    def found(*words):
        result = launch(*words).json
        return [(problem["code"], problem["host"]) for problem in result["errors"]]

    assert found("--shared-path", "/shared", "--shared-path", lab.shared, "--shared-path", str(tmp_path)) == []
    assert found("--shared-path", "/plain") == both
    assert found("--shared-path", "/plain:ro") == both
    assert found("--shared-path", "/shared:ro") == bound
    assert found("--shared-path", "/shared", "--hosts", "node1") == bound[:1]
    mount = ["sh", "-c", "mkdir /mixed && mount --bind /shared /mixed"]
    assert inside(ONE, "node1", *mount).returncode == inside(ONE, "node2", "mkdir", "/mixed").returncode == 0
    assert ("MOUNT_NOT_SHARED", "node2") in found("--shared-path", "/mixed")
    for path in ("/plain", "/shared", "/mixed"):
        assert inside(ONE, "node2", "sh", "-c", f"ls -A {path} | grep madctl").stdout == "", "a file was left"


def test_a_dry_run_that_cannot_prove_it_warns(clean):
    power.up(ONE, 2, {})
    done = launch("--dry-run", "--shared-path", "/shared")

    assert (done.code, done.codes) == (0, []), done.err
    assert "STORAGE_UNTRIED" in [problem["code"] for problem in done.json["warnings"]]


def test_that_there_is_no_gpu_is_told_once_per_lab(clean):
    power.up(ONE, 1, {})
    power.up(TWO, 1, {})
    words = ("launch", "--command", "--lab")
    told = [madctl(*words, name, "true").err.count("[NO_GPU]") for name in (ONE, ONE, TWO)]

    assert told == [1, 0, 1]
    assert [problem["code"] for problem in launch().json["warnings"]] == ["NO_GPU"]
    assert "[NO_GPU]" in madctl("check", "--lab", ONE, "--command", "true").err, "a table that warns says why"
    power.down(ONE)
    power.up(ONE, 1, {})
    assert madctl(*words, ONE, "true").err.count("[NO_GPU]") == 1


def test_up_twice_is_an_error_and_two_labs_live_side_by_side(clean):
    assert madctl("lab", "up", "-n", "1", "--name", ONE).code == 0
    again = madctl("lab", "up", "-n", "1", "--name", ONE)
    assert (again.code, "LAB_IS_UP" in again.err) == (2, True)
    assert madctl("lab", "up", "-n", "2", "--name", TWO).code == 0
    assert madctl("lab", "status", "--name", ONE).out.count(" up ") == 1
    assert madctl("lab", "status", "--name", TWO).out.count(" up ") == 2


def test_down_cleans_up_after_an_up_that_was_killed_half_way(clean):
    process = subprocess.Popen([str(MADCTL), "lab", "up", "-n", "40", "--name", CUT], stderr=subprocess.DEVNULL)
    while not (state.ROOT / CUT / "disks" / "node9").exists():
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert state.marked_processes(CUT), "it really was half way"
    assert madctl("lab", "down", "--name", CUT).code == 0


def test_without_what_it_needs_it_says_so_in_one_line(clean, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", "import madctl.lab.power as p; p._SYSTEM_PATH=''; p.require_machine()"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )

    assert "apt-get install -y iproute2 openssh-client openssh-server util-linux" in done.stderr

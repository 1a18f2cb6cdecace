# SPDX-License-Identifier: Apache-2.0
"""Hosts in User Mode Linux: that they are hosts, that NFS is NFS, and that nothing is left of them."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration import uml_cluster
from tests.integration.uml_cluster import UmlCluster, UmlError

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="User Mode Linux hosts need root"),
    pytest.mark.skipif(bool(uml_cluster.missing()), reason=f"not installed: {' '.join(uml_cluster.missing())}"),
]


def namespaces(pids):
    """List the namespaces that processes are in, and this one is not."""
    found, own = set(), {os.readlink(f"/proc/self/ns/{kind}") for kind in ("mnt", "net", "pid")}
    for pid in pids:
        for kind in ("mnt", "net", "pid"):
            try:
                found.add(os.readlink(f"/proc/{pid}/ns/{kind}"))
            except OSError:
                continue
    return found - own


def everywhere(until=float("inf")):
    """List all processes, those that were started until some time after this machine was."""
    found = set()
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            started = int(Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[19])
        except OSError:
            continue
        if started <= until * os.sysconf("SC_CLK_TCK"):
            found.add(int(entry))
    return found


def started_below(directory):
    """List the processes whose command line names a directory, as that of every host's kernel does."""
    found = []
    for pid in everywhere():
        try:
            if str(directory).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
        except OSError:
            continue
    return found


def links():
    return {name for name in os.listdir("/sys/class/net") if name.startswith("muml")}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    directory = tmp_path_factory.mktemp("uml")
    with UmlCluster(directory, count=2) as cluster:
        yield cluster
        pids = {pid for host in cluster.hosts for pid in cluster.processes(host)}
        inside = namespaces(pids)
        assert len(inside) == 2 * len(cluster.hosts) + 1, "two for each host, and the network"
        up = time.clock_gettime(time.CLOCK_BOOTTIME)
    # Later ones are of other tests, which may get the same numbers.
    assert not pids & everywhere(up)
    assert not inside & namespaces(everywhere(up))
    assert cluster.link not in links()
    assert not directory.exists()


def test_hosts_are_hosts_of_their_own(cluster):
    seen = set()
    for host in cluster.hosts:
        name, *identities = cluster.run(
            host, "hostname; cat /etc/machine-id /proc/sys/kernel/random/boot_id"
        ).stdout.split()
        assert name == host
        seen.update(identities)
    assert len(seen) == 2 * len(cluster.hosts)
    addresses = cluster.run("u1", "ip", "-brief", "-4", "addr", "show", "eth0").stdout
    assert f"{cluster.addresses['u1']}/24" in addresses


def test_hosts_see_the_project_and_cannot_change_the_machine(cluster):
    here = Path(__file__)
    new = [Path(path, "written-in-u1") for path in ("/root", "/etc", "/tmp", here.parent)]

    assert cluster.run("u1", "cat", str(here)).stdout == here.read_text()
    # Below /tmp, where a checkout may be, the project is read-only; elsewhere writing is possible and without effect.
    cluster.run("u1", "touch", *map(str, new), check=here.parts[1] != "tmp")
    assert not any(path.exists() for path in new)


def test_a_file_written_on_one_client_is_read_on_the_other(cluster):
    for host in cluster.clients:
        cluster.mount(host)
    cluster.run("u1", "echo shared > /nfs/file")

    assert cluster.run("u2", "cat", "/nfs/file").stdout == "shared\n"
    for host in cluster.clients:
        mounts = cluster.run(host, "cat", "/proc/self/mountinfo").stdout.splitlines()
        (mount,) = [line.split() for line in mounts if line.split()[4] == "/nfs"]
        kind, source, options = mount[mount.index("-") + 1 :]
        assert (kind, source) == ("nfs4", "nfs0:/")
        assert "vers=4.2" in options.split(",")
        cluster.umount(host)
    assert cluster.run("u2", "cat", "/nfs/file", check=False).returncode == 1


def test_exports_are_different_directories(cluster):
    cluster.mount("u1", export="/a")
    cluster.mount("u2", export="/b")
    cluster.run("u1", "echo a > /nfs/only-a")

    assert cluster.run("u2", "ls", "/nfs").stdout == ""
    for host in cluster.clients:
        cluster.umount(host)
    with pytest.raises(UmlError, match="No such file or directory"):
        cluster.mount("u1", export="/c")


def test_a_frozen_server_hangs_its_clients_until_it_thaws(cluster):
    cluster.mount("u1")
    cluster.run("u1", "echo there > /nfs/kept")
    cluster.freeze_server()
    try:
        # A file system's figures always come from the server; a file that was just seen comes from the cache.
        hung = cluster.run("u1", "timeout 3 stat --file-system /nfs", check=False)
    finally:
        cluster.thaw_server()

    assert hung.returncode == 124
    assert cluster.run("u1", "cat", "/nfs/kept").stdout == "there\n"
    cluster.umount("u1")


@pytest.mark.skipif(bool(uml_cluster.missing(systemd=True)), reason="systemd is not installed")
def test_hosts_that_systemd_runs_leave_nothing(tmp_path):
    directory = tmp_path / "uml"
    with UmlCluster(directory, count=1, server=False, systemd=True) as cluster:
        assert cluster.hosts == ("u1",)
        cluster.run("u1", "systemd-run", "sleep", "1000")
        inside = namespaces(cluster.processes("u1"))
        assert len(inside) == 3, "two for the host, and the network"
        up = time.clock_gettime(time.CLOCK_BOOTTIME)

    assert started_below(directory) == []
    assert not inside & namespaces(everywhere(up))
    assert cluster.link not in links()
    assert not directory.exists()


def test_a_failed_start_says_why_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(uml_cluster, "INIT", "echo the last words\nexit 1\n")
    directory = tmp_path / "uml"
    cluster = UmlCluster(directory, count=1)

    with pytest.raises(UmlError, match=r"(?s)ended while it booted.*the last words\n.*Kernel panic"):
        cluster.__enter__()

    assert started_below(directory) == []
    assert cluster.link not in links()
    assert not directory.exists()


def test_hosts_do_not_outlive_their_starter(tmp_path):
    directory = tmp_path / "uml"
    program = "import sys; from tests.integration.uml_cluster import UmlCluster; UmlCluster(sys.argv[1], count=1).up()"
    starter = subprocess.Popen([sys.executable, "-c", program, str(directory)], cwd=Path(__file__).parents[2])
    deadline = time.monotonic() + uml_cluster.BOOT_SECONDS
    while "mmapper_init" not in (log.read_text() if (log := directory / "u1.log").exists() else ""):
        assert time.monotonic() < deadline, "u1 does not start"
        time.sleep(0.02)
    starter.kill()
    starter.wait()

    # Its link goes with the network namespace that these hold; others make such links, too.
    while started_below(directory):
        assert time.monotonic() < deadline, "something is left"
        time.sleep(0.02)

# SPDX-License-Identifier: Apache-2.0
"""Real NFS 4.2, kernel to kernel: the check of shared storage where most people have it."""

import os
import subprocess

import pytest

from tests.integration import uml_cluster
from tests.integration.command import madctl, wait_for
from tests.integration.uml_cluster import UmlCluster

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="User Mode Linux hosts need root"),
    pytest.mark.skipif(bool(uml_cluster.missing()), reason=f"not installed: {' '.join(uml_cluster.missing())}"),
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    directory = tmp_path_factory.mktemp("uml")
    control = tmp_path_factory.mktemp("cp")
    with UmlCluster(directory) as found:
        for host in found.clients:
            found.mount(host, export="/a")
        yield found, str(control)
        for path in control.rglob("*"):
            subprocess.run(["ssh", "-O", "exit", "-S", str(path), "x"], capture_output=True, check=False)


def check(cluster, *words):
    """Check both clients; a child that hangs has 5 s, so all of it ends well below the limit even on a busy machine."""
    found, control = cluster
    options = ["--hosts", ",".join(found.clients), "--ssh-config", str(found.ssh_config), "--output", "json"]
    return madctl(
        "check",
        *options,
        *(words or ("--shared-path", "/nfs")),
        "--command",
        "--",
        "true",
        env={"ANSIBLE_SSH_CONTROL_PATH_DIR": control},
        timeout=180,
    )


def codes(done):
    return [(entry["code"], entry["host"]) for entry in done.json["errors"]]


def nothing_left(cluster, is_frozen=False):
    """Hold that files are gone, at once or as soon as the server answers again, and that agents end with the check."""
    found, _ = cluster
    files = lambda: found.run("u1", "ls -A /nfs | grep madctl", check=False).stdout  # noqa: E731
    if is_frozen:
        wait_for(lambda: files() == "")
    assert files() == ""
    for host in found.clients:
        wait_for(lambda host=host: found.run(host, "pgrep -f '^madctl agent'", check=False).stdout == "")


def test_mounted_on_both(cluster):
    done = check(cluster)

    assert (done.code, codes(done)) == (0, []), done.err
    nothing_left(cluster)


def test_a_local_directory_with_the_same_content(cluster):
    found, _ = cluster
    found.run("u1", "echo x > /nfs/data")
    found.umount("u2")
    found.run("u2", "mkdir -p /nfs && echo x > /nfs/data")
    try:
        done = check(cluster)
        assert found.run("u2", "ls -A /nfs").stdout == "data\n", "something was created in a local directory"
    finally:
        found.run("u2", "rm /nfs/data")
        found.mount("u2", export="/a")

    assert (done.code, codes(done)) == (3, [("MOUNT_NOT_SHARED", "u2")]), done.err
    nothing_left(cluster)


def test_another_export(cluster):
    found, _ = cluster
    found.umount("u2")
    found.mount("u2", export="/b")
    try:
        written = check(cluster)
        compared = check(cluster, "--shared-path", "/nfs:ro")
    finally:
        found.umount("u2")
        found.mount("u2", export="/a")

    assert (written.code, codes(written)) == (3, [("STORAGE_DIFFERS", "u2")]), written.err
    assert ("EXPORT_DIFFERS", "u2") in [(entry["code"], entry["host"]) for entry in written.json["warnings"]]
    assert (compared.code, codes(compared)) == (3, [("STORAGE_DIFFERS", "u2")]), compared.err
    nothing_left(cluster)


def test_read_only(cluster):
    found, _ = cluster
    found.umount("u2")
    found.mount("u2", export="/a", options="vers=4.2,ro")
    try:
        refused = check(cluster)
        allowed = check(cluster, "--shared-path", "/nfs:ro")
    finally:
        found.umount("u2")
        found.mount("u2", export="/a")

    assert (refused.code, codes(refused)) == (3, [("MOUNT_READ_ONLY", "u2")]), refused.err
    assert allowed.code == 0, allowed.err
    nothing_left(cluster)


def test_a_frozen_server(cluster):
    found, _ = cluster
    found.freeze_server()
    try:
        done = check(cluster)
    finally:
        found.thaw_server()

    assert done.code == 3, done.err
    assert codes(done) == [("MOUNT_HUNG", "u1"), ("MOUNT_HUNG", "u2")]
    again = check(cluster)
    assert again.code == 0, again.err
    nothing_left(cluster, is_frozen=True)

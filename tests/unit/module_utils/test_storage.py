# SPDX-License-Identifier: Apache-2.0
"""Mounts and what nodes read of each other, judged as tables."""

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils import _mounts, _storage

MOUNTINFO = """\
22 1 0:20 / / rw,relatime shared:1 - overlay overlay rw,lowerdir=/
40 22 0:30 / /nfs rw,relatime - autofs systemd-1 rw,fd=3
41 22 0:31 / /nfs rw,relatime shared:2 - nfs4 fs:/export/a rw,vers=4.2
42 22 0:32 /data/x /srv/a\\040b ro,nosuid - ext4 /dev/sda1 rw
43 22 0:33 / /mnt - tmpfs
"""


@pytest.mark.parametrize(
    ("path", "point", "fstype", "root"),
    [
        ("/nfs/home/ada", "/nfs", "nfs4", "/"),
        ("/nfsx", "/", "overlay", "/"),
        ("/srv/a b", "/srv/a b", "ext4", "/data/x"),
        ("/mnt/x", "/mnt", "tmpfs", "/"),
    ],
)
def test_the_mount_in_sight_is_found(path, point, fstype, root):
    found = _mounts.entry(path, MOUNTINFO.replace("/mnt - tmpfs", "/mnt rw - tmpfs none rw"))

    assert (found["point"], found["fstype"], found["root"]) == (point, fstype, root)


def mount(number, **more):
    found = {
        "path": "/nfs",
        "real": "/nfs",
        "point": "/nfs",
        "root": "/",
        "fstype": "nfs4",
        "source": "fs:/a",
        "options": ["rw"],
        "super_options": ["rw"],
        "exists": True,
        "hung": None,
        "error": None,
        "read_only": False,
        "file": f"f{number}",
        "nonce": f"x{number}",
        "janitor": number,
    }
    return {**found, **more}


def nodes(*mounts):
    return [(f"n{number}", {"mounts": [entry]}) for number, entry in enumerate(mounts, 1)]


def codes(found):
    return [(entry["code"], entry["host"]) for entry in found]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"exists": False}, "MOUNT_MISSING"),
        ({"fstype": "ext4", "point": "/"}, "MOUNT_NOT_SHARED"),
        ({"fstype": "ext4", "root": "/srv/x"}, "MOUNT_IS_BIND"),
        ({"hung": {"pid": 7, "state": "D", "wait": "rpc_wait"}}, "MOUNT_HUNG"),
        ({"access_error": "Stale file handle", "access_errno": "ESTALE"}, "MOUNT_STALE"),
        ({"access_error": "Permission denied", "access_errno": "EACCES"}, "MOUNT_UNREADABLE"),
        ({"options": ["ro"]}, "MOUNT_READ_ONLY"),
        ({"super_options": ["ro"]}, "MOUNT_READ_ONLY"),
        ({"write_error": "Disk quota exceeded"}, "MOUNT_UNWRITABLE"),
        ({"source": "other:/a"}, "EXPORT_DIFFERS"),
        ({"root": "/sub"}, "EXPORT_DIFFERS"),
        ({"fstype": "nfs"}, "STORAGE_TYPE_DIFFERS"),
    ],
)
def test_one_odd_mount(wrong, code):
    assert codes(_storage.judge(nodes(mount(1), mount(2, **wrong), mount(3)))) == [(code, "n2")]


def test_a_stuck_child_is_reported_with_where_it_waits():
    hung = {"pid": 7, "state": "D", "wait": "rpc_wait"}
    (found,) = _storage.judge(nodes(mount(1, hung=hung)))

    assert "process 7 is stuck in rpc_wait" in found["message"]


def test_a_read_only_path_is_compared_by_its_content():
    mounts = [mount(n, read_only=True, options=["ro"], mark="b" if n == 2 else "a") for n in (1, 2, 3)]

    assert codes(_storage.judge(nodes(*mounts))) == [("STORAGE_DIFFERS", "n2")]


def test_a_type_can_be_added():
    mounts = nodes(mount(1, fstype="xfs"), mount(2, fstype="xfs"))

    assert codes(_storage.judge(mounts)) == [("MOUNT_NOT_SHARED", "n1"), ("MOUNT_NOT_SHARED", "n2")]
    assert _storage.judge(mounts, ["xfs"]) == []


def prove(*islands):
    """Let every node read what it can see: the files of the nodes on its own island."""
    given = nodes(*(mount(n) for n in range(1, len(islands) + 1)))
    reading = _storage.reading(given)
    proof = {host: {"read": reading[host], "written": _storage.written(facts)} for host, facts in given}
    island = {host: place for (host, _), place in zip(given, islands)}
    nonce = {host: f"x{number}" for number, (host, _) in enumerate(given, 1)}
    answers = {
        host: [
            {"value": {w: nonce[w] if island[w] == island[host] else None for w in request["names"]}}
            for request in wanted["read"]
        ]
        for host, wanted in proof.items()
    }
    return codes(_storage.judge_reading(proof, answers))


@pytest.mark.parametrize(
    ("islands", "blamed"),
    [("aaaa", []), ("aaba", ["n3"]), ("abba", ["n2", "n3"]), ("baaa", ["n1"]), ("ab", ["n2"]), ("a", [])],
)
def test_who_sees_other_files_is_blamed(islands, blamed):
    assert prove(*islands) == [("STORAGE_DIFFERS", host) for host in blamed]


def test_hung_and_failed_reading():
    given = nodes(mount(1), mount(2), mount(3))
    reading = _storage.reading(given)
    proof = {host: {"read": reading[host], "written": _storage.written(facts)} for host, facts in given}
    answers = {"n2": [{"hung": {"pid": 1, "state": "D", "wait": None}}], "n3": [{"error": "OSError: x"}]}

    assert codes(_storage.judge_reading(proof, answers)) == [("MOUNT_HUNG", "n2"), ("STORAGE_UNPROVEN", "n3")]

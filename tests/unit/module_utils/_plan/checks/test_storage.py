# SPDX-License-Identifier: Apache-2.0
"""Mounts and what nodes read from each other, judged as tables."""

from pathlib import Path

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import filesystems
from ansible_collections.madctl.multinode.plugins.module_utils._node import mount_table
from ansible_collections.madctl.multinode.plugins.module_utils._plan.checks import storage
from tests.hostile import mutated

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
    found = mount_table.entry(path, MOUNTINFO.replace("/mnt - tmpfs", "/mnt rw - tmpfs none rw"))

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


def test_word_of_a_failure_is_left_where_several_nodes_could_all_write():
    assert storage.proven(nodes(mount(1), mount(2))) == "/nfs"
    assert storage.proven(nodes(mount(1))) is None
    assert storage.proven(nodes(mount(1), mount(2, file=None))) is None


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"exists": False}, "MOUNT_MISSING"),
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
    assert codes(storage.judge_mounts(nodes(mount(1), mount(2, **wrong), mount(3)))) == [(code, "n2")]


def test_a_stuck_child_is_reported_with_where_it_waits():
    hung = {"pid": 7, "state": "D", "wait": "rpc_wait"}
    (found,) = storage.judge_mounts(nodes(mount(1, hung=hung)))

    assert "process 7 is stuck in rpc_wait" in found["message"]


def test_a_read_only_path_is_compared_by_its_content():
    mounts = [mount(n, read_only=True, options=["ro"], mark="b" if n == 2 else "a") for n in (1, 2, 3)]

    assert codes(storage.judge_mounts(nodes(*mounts))) == [("STORAGE_DIFFERS", "n2")]


def test_a_type_can_be_added():
    mounts = nodes(mount(1, fstype="xfs"))

    assert codes(storage.judge_mounts(mounts)) == [("MOUNT_NOT_SHARED", "n1")]
    assert storage.judge_mounts(mounts, ["xfs"]) == []


def prove(*islands):
    """Let every node read what it sees: the files of the nodes on its own island."""
    given = nodes(*(mount(n) for n in range(1, len(islands) + 1)))
    reading = storage.reading(given)
    proof = {host: {"read": reading[host], "written": storage.written(facts)} for host, facts in given}
    island = {host: place for (host, _), place in zip(given, islands)}
    nonce = {host: f"x{number}" for number, (host, _) in enumerate(given, 1)}
    answers = {
        host: [
            {"value": {w: nonce[w] if island[w] == island[host] else None for w in request["names"]}}
            for request in wanted["read"]
        ]
        for host, wanted in proof.items()
    }
    return codes(storage.judge_reading(proof, answers))


@pytest.mark.parametrize(
    ("islands", "blamed"),
    [("aaaa", []), ("aaba", ["n3"]), ("abba", ["n2", "n3"]), ("baaa", ["n1"]), ("ab", ["n2"]), ("a", [])],
)
def test_who_sees_other_files_is_blamed(islands, blamed):
    assert prove(*islands) == [("STORAGE_DIFFERS", host) for host in blamed]


def test_hung_and_failed_reading():
    given = nodes(mount(1), mount(2), mount(3))
    reading = storage.reading(given)
    proof = {host: {"read": reading[host], "written": storage.written(facts)} for host, facts in given}
    answers = {"n2": [{"hung": {"pid": 1, "state": "D", "wait": None}}], "n3": [{"error": "OSError: x"}]}

    assert codes(storage.judge_reading(proof, answers)) == [("MOUNT_HUNG", "n2"), ("STORAGE_UNPROVEN", "n3")]


# -- types of file systems, and mounts over mounts ------------------------------------------------

SEEN = Path(__file__).parent / "mountinfo"


@pytest.mark.parametrize("name", ["ceph-fuse", "quobyte", "hf3fs", "mountpoint-s3", "panfs"])
def test_a_type_that_is_not_known_to_be_local_gets_its_chance(name):
    found = mount_table.entry("/mnt/data/x", (SEEN / f"{name}.txt").read_text())
    mounts = nodes(*(mount(number, path="/mnt/data", real="/mnt/data", **found) for number in (1, 2)))

    assert found["point"] == "/mnt/data"
    assert storage.judge_mounts(mounts) == []
    assert all(storage.reading(mounts).values())


@pytest.mark.parametrize("fstype", ["fuse.somebody-s", "orangefs", "pvfs2", "fuse", "dvs", "afs"])
def test_a_list_of_all_types_is_not_needed(fstype):
    assert not filesystems.is_local(fstype)


@pytest.mark.parametrize("fstype", ["ext4", "xfs", "tmpfs", "overlay", "zfs", "fuse.fuse-overlayfs", "fuseblk", None])
def test_what_is_certainly_local(fstype):
    assert filesystems.is_local(fstype)
    assert not filesystems.is_local("ext4", ["ext4"])


def test_the_remedy_names_the_option():
    (found,) = storage.judge_mounts(nodes(mount(1), mount(2, fstype="ext4", point="/"), mount(3)), proof_follows=False)

    assert "--shared-fstype ext4" in found["remedy"]


def test_a_mount_over_a_parent_hides_what_was_mounted_below():
    found = mount_table.entry("/mnt/data/x", (SEEN / "overmounted-parent.txt").read_text())

    assert (found["point"], found["fstype"]) == ("/mnt", "xfs")


WALKS = {
    "mounted again below the new parent": ("96 95 0:50 / /mnt/data rw - nfs4 fs:/a rw", "nfs4"),
    "another one over the new parent": ("97 95 8:18 / /mnt rw - btrfs /dev/sdc rw", "btrfs"),
    "a new root over all": ("98 22 8:19 / / rw - zfs tank rw", "zfs"),
}


@pytest.mark.parametrize("name", WALKS)
def test_mounts_are_followed_from_the_root(name):
    line, fstype = WALKS[name]
    text = (SEEN / "overmounted-parent.txt").read_text() + line + "\n"

    assert mount_table.entry("/mnt/data/x", text)["fstype"] == fstype


def test_a_root_whose_own_mount_is_not_shown():
    text = "30 20 0:5 / /proc rw - proc proc rw\n31 20 0:6 / /nfs rw - nfs4 fs:/a rw\n"

    assert mount_table.entry("/nfs/x", text)["fstype"] == "nfs4"
    assert mount_table.entry("/home", text) == {}


@pytest.mark.parametrize(
    "line",
    [
        *(
            "",
            "x",
            "1 2",
            " - ",
            "1 2 3 4 /nfs - ",
            "a b 0:1 / /nfs rw - nfs4 s rw",
            "50 22 0:1 / /nfs rw nfs4 fs:/x rw",
        ),
        "99999999999999999999 22 0:1 / /nfs rw - nfs4 x rw",
    ],
)
def test_an_odd_line_costs_itself_alone(line):
    assert mount_table.entry("/nfs/x", MOUNTINFO + line + "\n")["source"] == "fs:/export/a"


def test_mounts_that_go_round_in_a_circle_come_to_an_end():
    text = "1 1 0:1 / / rw - ext4 a rw\n2 1 0:2 / /a rw - nfs b rw\n1 2 0:3 / /a rw - xfs c rw\n"

    assert mount_table.entry("/a/b", text)


@pytest.mark.fuzz
def test_no_mountinfo_breaks_it(rounds):
    samples = [MOUNTINFO.encode(), *(path.read_bytes() for path in sorted(SEEN.iterdir()))]
    for data in mutated(samples, rounds):
        found = mount_table.entry("/mnt/data/x", data.decode("utf-8", "surrogateescape"))
        assert not found or {"point", "fstype", "source", "root", "options", "super_options"} == set(found)


# -- directories that are local to a node, and may be what the others see ---------------------------

SERVER = {"fstype": "ext4", "source": "/dev/sdb1", "point": "/"}
UNTRIED = {"file": None, "nonce": None, "janitor": None}


def untried(number, **more):
    """Return a mount as a dry run sees it."""
    return {name: value for name, value in mount(number, **more).items() if name not in UNTRIED}


def proof_of(given):
    reading = storage.reading(given)
    return {host: {"read": reading[host], "written": storage.written(facts)} for host, facts in given}


def judged(given, *islands):
    """Judge mounts first, then what nodes read, where those on the same island see the same files."""
    proof = proof_of(given)
    island = dict(zip(proof, islands))
    nonce = {host: facts["mounts"][0].get("nonce") for host, facts in given}
    answers = {
        host: [
            {"value": {writer: nonce[writer] if island[writer] == island[host] else None for writer in wanted["names"]}}
            for wanted in parts["read"]
        ]
        for host, parts in proof.items()
    }
    return codes(storage.judge_mounts(given)) + codes(storage.judge_reading(proof, answers))


@pytest.mark.parametrize(
    ("islands", "blamed"),
    [
        ("aa", []),
        ("aaaa", []),
        ("ab", ["n1", "n2"]),
        ("abcd", ["n1", "n2", "n3", "n4"]),
        ("aaba", ["n3"]),
        ("abca", ["n2", "n3"]),
    ],
)
@pytest.mark.parametrize(
    ("local", "code"),
    [
        (SERVER, "MOUNT_NOT_SHARED"),
        ({"fstype": "tmpfs"}, "MOUNT_NOT_SHARED"),
        ({"fstype": "ext4", "root": "/srv/x"}, "MOUNT_IS_BIND"),
    ],
)
def test_a_path_that_is_local_everywhere_counts_as_shared_only_by_proof(islands, blamed, local, code):
    given = nodes(*(mount(number, **local) for number in range(1, len(islands) + 1)))

    assert judged(given, *islands) == [(code, host) for host in blamed]


@pytest.mark.parametrize(
    ("islands", "found"),
    [
        ("aaa", []),
        ("baa", [("MOUNT_NOT_SHARED", "n1")]),
        ("aab", [("STORAGE_DIFFERS", "n3")]),
        ("bac", [("MOUNT_NOT_SHARED", "n1"), ("STORAGE_DIFFERS", "n3")]),
    ],
)
def test_a_file_server_takes_part_if_both_sides_see_what_the_other_wrote(islands, found):
    assert judged(nodes(mount(1, **SERVER), mount(2), mount(3)), *islands) == found


def test_the_files_of_a_mount_are_the_measure_where_there_is_one():
    proof = proof_of(nodes(mount(1, **SERVER), mount(2), mount(3)))

    assert proof["n1"]["read"][0]["names"] == {"n2": "f2"}
    assert proof["n3"]["read"][0]["names"] == {"n2": "f2"}
    assert proof["n2"]["read"][0]["names"] == {"n1": "f1", "n3": "f3"}


@pytest.mark.parametrize(("islands", "blamed"), [("aa", []), ("ab", [("MOUNT_NOT_SHARED", "n2")])])
def test_two_nodes_of_which_one_serves(islands, blamed):
    assert judged(nodes(mount(1), mount(2, **SERVER)), *islands) == blamed


def test_one_node_alone_proves_nothing():
    assert judged(nodes(mount(1, **SERVER)), "a") == [("MOUNT_NOT_SHARED", "n1")]


@pytest.mark.parametrize("local", [{}, SERVER])
def test_without_anything_to_read_a_local_path_is_refused_at_once(local):
    other = mount(2, **local, file=None, write_error="Disk quota exceeded")

    assert ("MOUNT_NOT_SHARED", "n1") in codes(storage.judge_mounts(nodes(mount(1, **SERVER), other)))


def test_a_server_that_may_not_write_is_told():
    given = nodes(mount(1, **SERVER, file=None, write_error="Permission denied"), mount(2), mount(3))

    assert judged(given, *"aaa") == [("MOUNT_UNWRITABLE", "n1")]


def test_where_nothing_is_written_the_type_decides_unless_all_are_local():
    mixed = nodes(untried(1, **SERVER), untried(2))
    local = nodes(untried(1, **SERVER), untried(2, **SERVER))

    assert codes(storage.judge_mounts(mixed)) == [("MOUNT_NOT_SHARED", "n1")]
    assert codes(storage.judge_mounts(local)) == [("STORAGE_UNTRIED", None)]
    assert codes(storage.judge_mounts(local[:1])) == [("MOUNT_NOT_SHARED", "n1")]


def test_a_path_that_is_only_read_is_compared_with_the_server_s_at_once():
    reading = {"read_only": True, "file": None}
    same = nodes(mount(1, **{**SERVER, **reading}, mark="a"), mount(2, mark="a", **reading))
    other = nodes(mount(1, **{**SERVER, **reading}, mark="b"), mount(2, mark="a", **reading))
    empty = nodes(mount(1, **{**SERVER, **reading}, mark=None), mount(2, mark=None, **reading))
    local = nodes(*(untried(number, **SERVER, read_only=True, mark="a") for number in (1, 2)))

    assert codes(storage.judge_mounts(same)) == []
    assert codes(storage.judge_mounts(other)) == codes(storage.judge_mounts(empty)) == [("MOUNT_NOT_SHARED", "n1")]
    assert codes(storage.judge_mounts(local)) == [("MOUNT_NOT_SHARED", "n1"), ("MOUNT_NOT_SHARED", "n2")]


def test_spares_replace_a_node_with_a_local_directory_only_where_others_have_a_mount():
    server, client = mount(1, **SERVER), mount(2)

    assert storage.is_mixed(nodes(server, client))
    assert not storage.is_mixed(nodes(server, server))
    assert not storage.is_mixed(nodes(client, client))
    assert codes(storage.judge_mounts(nodes(server, client), proof_follows=False)) == [("MOUNT_NOT_SHARED", "n1")]


def test_directories_without_content_have_no_mark_to_compare(tmp_path):
    assert mount_table.look(str(tmp_path), True, True)["mark"] is None
    (tmp_path / "file").touch()
    assert mount_table.look(str(tmp_path), True, True)["mark"]


@pytest.mark.parametrize("read_only", [False, True])
def test_a_file_is_written_only_where_it_is_allowed_and_goes(tmp_path, read_only):
    assert not {"file", "mark"} & set(mount_table.look(str(tmp_path), read_only, False))
    found = mount_table.look(str(tmp_path), read_only, True)

    assert [path.name for path in tmp_path.iterdir()] == ([] if read_only else [found["file"]])
    assert ("mark" in found) == read_only
    if not read_only:
        assert mount_table.release([found]) == {"left": []}
        assert list(tmp_path.iterdir()) == []

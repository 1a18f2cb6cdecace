# SPDX-License-Identifier: Apache-2.0
"""Which directories of this machine hosts of a lab may have, and what is bound into them."""

import pytest

from madctl.errors import UsageError
from madctl.lab import mounts
from madctl.lab.spec import Lab, Mount


def lab(*more):
    return Lab("one", 1, "boot", shared="/var/lib/madctl/lab/one", mounts=more)


def test_a_mount_is_writable_unless_it_says_otherwise_and_outer_ones_come_first(tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()

    found = mounts.chosen([f"{inner}:ro", f"{tmp_path}/", str(tmp_path)])

    assert found == (Mount(str(tmp_path)), Mount(str(inner), read_only=True))


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("data", "USAGE", "takes an absolute path, not 'data'"),
        ("", "USAGE", "takes an absolute path"),
        (":ro", "USAGE", "takes an absolute path"),
        ("/a\x1b[2Jb", "USAGE", "takes an absolute path"),
        ("/nowhere", "LAB_MOUNT_INVALID", "/nowhere cannot be mounted: it does not exist"),
        ("/etc/passwd", "LAB_MOUNT_INVALID", "hosts have their own"),
        *((path, "LAB_MOUNT_INVALID", "hosts have their own") for path in ("/", "//", "/x/..", "/etc", "/usr/lib")),
        *((path, "LAB_MOUNT_INVALID", "hosts have their own") for path in ("/proc", "/root:ro", "/home", "/var/tmp/x")),
        *((path, "LAB_MOUNT_INVALID", "hosts have their own") for path in ("/shared", "/shared/x", "/var/lib/madctl")),
    ],
)
def test_what_cannot_be_mounted_is_refused_in_a_sentence(text, code, says):
    with pytest.raises(UsageError) as caught:
        mounts.chosen([text])

    (problem,) = caught.value.problems
    assert problem.code == code
    assert says in problem.message
    assert "\x1b" not in str(problem)


def test_a_file_and_a_link_are_refused_and_the_link_s_directory_is_named(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)

    with pytest.raises(UsageError, match="it is not a directory"):
        mounts.chosen([f"{tmp_path}/file"])
    with pytest.raises(UsageError, match=f"a symbolic link leads to it; --mount {tmp_path}"):
        mounts.chosen([f"{tmp_path}/link:ro"])


def test_one_directory_is_not_both_writable_and_read_only(tmp_path):
    with pytest.raises(UsageError, match="both writable and read-only"):
        mounts.chosen([f"{tmp_path}:ro", str(tmp_path)])


def test_hosts_see_the_current_directory_read_only_unless_a_mount_holds_it(tmp_path, monkeypatch):
    here = tmp_path / "work"
    here.mkdir()
    monkeypatch.chdir(here)

    assert (str(here), str(here), True) in mounts.binds(lab())
    bound = mounts.binds(lab(Mount(str(tmp_path))))
    assert [target for _, target, _ in bound if target.startswith(str(tmp_path))] == [str(tmp_path)]
    assert (str(tmp_path), str(tmp_path), False) in bound


def test_the_shared_directory_has_two_paths_in_each_host():
    shared = "/var/lib/madctl/lab/one"

    assert mounts.binds(lab())[-2:] == [(shared, shared, False), (shared, "/shared", False)]

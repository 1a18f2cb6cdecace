# SPDX-License-Identifier: Apache-2.0
"""A directory read as a tree of code, directories that nobody means, and files that change."""

import hashlib
import os
import pwd
import shutil
import tempfile
from pathlib import Path

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import manifest
from ansible_collections.madctl.multinode.plugins.module_utils._common.refusal import Refused
from ansible_collections.madctl.multinode.plugins.module_utils._sync import commit, listing, packing, reading
from tests.unit.module_utils.code_by_hand import commit as make_commit
from tests.unit.module_utils.code_by_hand import run_git, write


def refusal(place):
    with pytest.raises(Refused) as refused:
        reading.read(str(place))
    return refused.value.problem


def pieces(tree, reader="a"):
    source = packing.Source(tree, [at for at, entry in enumerate(tree.entries) if entry.kind == "f"])
    source.join(reader)
    return list(iter(lambda: source.next_for(reader), None))


def test_a_tree_has_kinds_modes_sizes_and_hashes(tmp_path):
    write(tmp_path, "a/run.sh", text="#!/bin/sh\n")
    os.chmod(tmp_path / "a/run.sh", 0o4750)
    os.symlink("../x", tmp_path / "a/link")
    tree = reading.read(str(tmp_path))
    found = {entry.path: entry[1:] for entry in tree.entries}

    assert found[b"a/run.sh"] == ("f", 0o750, 10, hashlib.sha256(b"#!/bin/sh\n").hexdigest())
    assert found[b"a/link"] == ("l", 0, 0, "../x")
    assert found[b"a"][0] == "d"
    assert manifest.parsed(tree.data) == tree.entries


def test_equal_content_elsewhere_is_the_same_tree(tmp_path):
    for name in ("one", "two"):
        write(tmp_path, f"{name}/a.py", f"{name}/b.py", text="x")
    (tmp_path / "two/a.py").touch()
    identities = [reading.read(str(tmp_path / name)).identity for name in ("one", "two")]

    assert identities[0] == identities[1]


def test_the_whole_file_system_and_homes_are_refused(tmp_path, monkeypatch):
    home = tmp_path / "people" / "ann"
    home.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    (tmp_path / "link").symlink_to(home)

    for place in ("/", "/..", home, tmp_path / "link", home.parent, f"{home}/", "/proc/self", "/sys", "/dev"):
        assert refusal(place)["code"] == "SYNC_REFUSED", place
    assert "home directory" in refusal(home)["message"]
    assert str(home) in refusal(home.parent)["message"]
    write(home, "code/a.py")
    assert len(reading.read(str(home / "code")).entries) == 1


def test_the_home_of_another_account_is_refused(tmp_path, monkeypatch):
    entry = pwd.struct_passwd(("bob", "x", 1001, 1001, "", str(tmp_path), "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwall", lambda: [entry])

    assert refusal(tmp_path)["code"] == "SYNC_REFUSED"


def test_what_is_not_a_directory_is_refused(tmp_path):
    write(tmp_path, "file")

    assert "does not exist" in refusal(tmp_path / "none")["message"]
    assert "is not a directory" in refusal(tmp_path / "file")["message"]


def test_too_much_names_what_is_largest(tmp_path, monkeypatch):
    monkeypatch.setattr(manifest, "MOST_BYTES", 10 * 1000**2)
    write(tmp_path, "train.py")
    write(tmp_path, *(f"data/set/{number}" for number in range(8)), text="x" * 10**6)
    write(tmp_path, "ckpt/model.pt", text="x" * 3 * 10**6)
    found = refusal(tmp_path)

    assert found["code"] == "SYNC_TOO_LARGE"
    assert "11 MB in 10 files, more than 10 MB" in found["message"]
    assert "the largest: data/set (8 MB), ckpt/model.pt (3 MB)" in found["message"]
    assert ".madctlignore" in found["remedy"]


@pytest.fixture
def nobody(monkeypatch):
    """Be a user who may not read everything, in a directory that is not below one of root's."""
    before = os.geteuid()
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o777)
        monkeypatch.setenv("HOME", os.path.dirname(place))  # Git reads its settings there.
        if before == 0:
            os.seteuid(65534)
        try:
            yield Path(place)
        finally:
            os.seteuid(before)


def test_an_unreadable_file_is_named(nobody):
    write(nobody, "secret")
    os.chmod(nobody / "secret", 0)
    found = refusal(nobody)

    assert found["code"] == "SYNC_UNREADABLE" and "secret" in found["message"]


@pytest.mark.parametrize("change", ["grow", "shrink", "vanish", "replace", "same size"])
def test_a_file_that_changes_between_the_list_and_the_read_is_an_error(tmp_path, monkeypatch, change):
    write(tmp_path, "a.py", text="12345")
    # Two changes within one tick of a file system's clock look like one.
    os.utime(tmp_path / "a.py", (1, 1))
    before = listing.listed

    def listed(root):
        found = before(root)
        alter(tmp_path / "a.py", change)
        return found

    monkeypatch.setattr(reading.listing, "listed", listed)
    found = refusal(tmp_path)

    assert found["code"] == "SYNC_CHANGED" and "a.py" in found["message"]


def alter(path, change):
    if change == "vanish":
        path.unlink()
    elif change == "replace":
        path.unlink()
        path.write_text("54321")
    else:
        path.write_text({"grow": "123456", "shrink": "1", "same size": "54321"}[change])


@pytest.mark.parametrize("change", ["grow", "shrink", "vanish", "replace", "same size"])
def test_a_file_that_changes_before_it_is_sent_is_an_error(tmp_path, change):
    write(tmp_path, "a.py", text="12345")
    tree = reading.read(str(tmp_path))
    alter(tmp_path / "a.py", change)
    with pytest.raises(Refused) as refused:
        pieces(tree)

    assert refused.value.problem["code"] == "SYNC_CHANGED"


def test_what_compresses_is_compressed_and_the_rest_is_not(tmp_path):
    write(tmp_path, "text", text="import torch\n" * 10**5)
    assert sum(map(len, pieces(reading.read(str(tmp_path))))) < 10**5

    (tmp_path / "text").write_bytes(os.urandom(10**6))
    assert 10**6 <= sum(map(len, pieces(reading.read(str(tmp_path))))) < 1.001 * 10**6


def test_files_are_read_once_for_all_readers_and_forgotten(tmp_path, monkeypatch):
    for number in range(8):
        (tmp_path / f"{number}").write_bytes(os.urandom(1 << 18))
    tree = reading.read(str(tmp_path))
    opened, before = [], reading.opened
    monkeypatch.setattr(reading, "opened", lambda root, path, known: opened.append(path) or before(root, path, known))
    source = packing.Source(tree, range(len(tree.entries)))
    readers = ("a", "b", "c")
    for reader in readers:
        source.join(reader)
    found = {reader: [] for reader in readers}
    for _ in range(9):
        for reader in readers:
            found[reader].append(source.next_for(reader))
        assert len(source._pieces) <= 1

    assert len(opened) == 8
    assert found["a"] == found["b"] == found["c"] and found["a"][-1] is None
    assert not source.is_at_its_beginning


def test_a_reader_waits_for_one_that_is_far_behind(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(os.urandom(6 << 18))
    monkeypatch.setattr(packing, "_AHEAD", 3)
    source = packing.Source(reading.read(str(tmp_path)), [0])
    source.join("fast")
    source.join("slow")
    fast = [source.next_for("fast") for _ in range(4)]
    assert fast[3] is None and source.is_held

    slow = source.next_for("slow")
    assert (slow, source.is_held) == (fast[0], False)
    assert source.next_for("fast") and source.next_for("fast") is None

    source.leave("slow")
    rest = list(iter(lambda: source.next_for("fast"), None))
    assert len(rest) == 2 and not source.is_held


@pytest.mark.parametrize(
    ("path", "is_there"),
    [("a/b.py", True), ("./a/../a/b.py", True), ("a", True), ("b", False), ("l/x", True), ("../a", False)],
)
def test_paths_are_found_in_a_tree(tmp_path, path, is_there):
    write(tmp_path, "a/b.py")
    os.symlink("/etc", tmp_path / "l")

    assert reading.read(str(tmp_path)).has(path) is is_there


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
class TestCommit:
    """What git says of the code."""

    def test_a_clean_work_tree_has_a_commit_and_no_difference(self, tmp_path):
        write(tmp_path, "a.py")
        make_commit(tmp_path)
        run_git(tmp_path, "checkout", "-q", "-b", "fix/x")
        found = commit.of(os.fsencode(tmp_path))

        assert (len(found.commit), found.branch, found.diff, found.is_dirty) == (40, "fix/x", b"", False)

    def test_a_file_that_changed_in_the_second_of_the_commit_is_different(self, tmp_path):
        write(tmp_path, "a.py", text="one\n")
        os.utime(tmp_path / "a.py", (1, 1))
        make_commit(tmp_path)
        run_git(tmp_path, "config", "core.trustctime", "false")
        write(tmp_path, "a.py", text="two\n")
        for path in ("a.py", ".git/index"):
            os.utime(tmp_path / path, (1, 1))

        assert b"+two" in commit.of(os.fsencode(tmp_path)).diff

    def test_the_difference_has_new_files_and_leaves_the_index_alone(self, tmp_path):
        write(tmp_path, "a.py", "gone.py", text="one\n")
        make_commit(tmp_path)
        write(tmp_path, "a.py", text="two\n")
        write(tmp_path, "new.py", text="three\n")
        (tmp_path / "gone.py").unlink()
        index = (tmp_path / ".git/index").read_bytes()
        found = commit.of(os.fsencode(tmp_path))

        assert found.is_dirty
        for line in (b"-one", b"+two", b"+three", b"deleted file"):
            assert line in found.diff
        assert (tmp_path / ".git/index").read_bytes() == index

    def test_a_long_difference_is_cut(self, tmp_path):
        write(tmp_path, "a.py")
        make_commit(tmp_path)
        write(tmp_path, "a.py", text="line\n" * 10**6)
        found = commit.of(os.fsencode(tmp_path))

        assert len(found.diff) == commit.DIFF_BYTES and b"left out" in found.diff[-80:]

    def test_before_the_first_commit_everything_is_new(self, tmp_path):
        run_git(tmp_path, "init", "-q")
        write(tmp_path, "a.py", text="one\n")
        found = commit.of(os.fsencode(tmp_path))

        assert found.commit is None and b"+one" in found.diff

    def test_a_detached_head_has_no_branch_and_no_repository_no_commit(self, tmp_path):
        write(tmp_path, "git/a.py", "plain/a.py")
        make_commit(tmp_path / "git")
        run_git(tmp_path / "git", "checkout", "-q", "--detach")

        assert commit.of(os.fsencode(tmp_path / "git")).branch is None
        assert commit.of(os.fsencode(tmp_path / "plain")) is None

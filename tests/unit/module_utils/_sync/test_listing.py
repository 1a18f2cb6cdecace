# SPDX-License-Identifier: Apache-2.0
"""What of a directory is sent, with git and without."""

import os
import shutil
import socket

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import manifest
from ansible_collections.madctl.multinode.plugins.module_utils._common.refusal import Refused
from ansible_collections.madctl.multinode.plugins.module_utils._sync import git, ignoring, listing
from tests.unit.module_utils.code_by_hand import commit, run_git, write


def listed(place):
    return sorted(map(os.fsdecode, listing.listed(os.fsencode(place)).found))


@pytest.fixture(params=["git", "no git"])
def kind(request, monkeypatch):
    if request.param == "git" and shutil.which("git") is None:
        pytest.skip("needs git")
    return request.param


@pytest.fixture
def place(kind, tmp_path):
    place = tmp_path / "code"
    place.mkdir()
    if kind == "git":
        run_git(place, "init", "-q")
    return place


def test_ignored_files_stay_and_new_ones_go(place):
    write(place, "train.py", "deep/a/b.py", "deep/a/b.log", "venv/bin/python", "keep.log")
    write(place, ".gitignore", text="*.log\nvenv/\n!keep.log\n")
    write(place, "deep/.gitignore", text="a/b.log\n")

    assert listed(place) == [
        ".gitignore",
        *("deep", "deep/.gitignore", "deep/a", "deep/a/b.py"),
        "keep.log",
        "train.py",
    ]


def test_madctlignore_leaves_out_what_git_keeps(place, kind):
    write(place, "train.py", "data/big.bin", "sub/data/x", "sub/y")
    write(place, ".madctlignore", text="/data\n")
    write(place, "sub/.madctlignore", text="y\n")
    if kind == "git":
        commit(place)

    assert listed(place) == [".madctlignore", "sub", "sub/.madctlignore", "sub/data", "sub/data/x", "train.py"]


def test_empty_directories_and_links_are_listed(place):
    write(place, "train.py", "only_ignored/x.log", ".gitignore", text="*.log\n")
    (place / "empty" / "deep").mkdir(parents=True)
    os.symlink("train.py", place / "link")
    os.symlink("/etc", place / "out")

    wanted = [".gitignore", "empty", "empty/deep", "link", "only_ignored", "out", "train.py"]
    assert listed(place) == wanted


@pytest.mark.parametrize("name", [b"a b", b"-rf", b"\xff.py", "ü".encode(), b"a\nb", b"a\tb\\", b'"', b"$(x)"])
def test_odd_names_are_listed(place, name):
    with open(os.path.join(os.fsencode(place), name), "wb"):
        pass

    assert list(listing.listed(os.fsencode(place)).found) == [name]


def test_the_repository_itself_is_not_sent(place):
    write(place, "train.py", ".git/description")

    assert listed(place) == ["train.py"]


def test_sockets_and_pipes_are_left_out_and_named(tmp_path):
    write(tmp_path, "train.py")
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "s"))
        found = listing.listed(os.fsencode(tmp_path))

    assert (list(found.found), sorted(found.left_out)) == ([b"train.py"], ["pipe", "s"])


def test_more_files_than_are_sent_are_refused(place, monkeypatch):
    monkeypatch.setattr(manifest, "MOST_ENTRIES", 2)
    write(place, "a", "b", "c")
    with pytest.raises(Refused) as refused:
        listed(place)

    assert refused.value.problem["code"] == "SYNC_TOO_LARGE"


def test_an_ignore_file_that_is_a_pipe_holds_nothing_up(place):
    write(place, "train.py")
    os.mkfifo(place / ".madctlignore")

    assert listed(place) == ["train.py"]


def test_without_the_library_a_plain_directory_needs_none(tmp_path, monkeypatch):
    monkeypatch.setattr(ignoring.importlib, "import_module", lambda name: (_ for _ in ()).throw(ImportError(name)))
    write(tmp_path, "train.py")
    assert listed(tmp_path) == ["train.py"]

    write(tmp_path, ".gitignore", text="x\n")
    with pytest.raises(Refused) as refused:
        listed(tmp_path)
    assert "pip install" in refused.value.problem["remedy"]


def test_without_git_a_repository_is_listed_by_its_ignore_files(tmp_path, monkeypatch):
    monkeypatch.setattr(git.shutil, "which", lambda _: None)
    write(tmp_path, ".git/HEAD", "a.py", "a.log", text="")
    write(tmp_path, ".gitignore", text="*.log\n")

    assert listed(tmp_path) == [".gitignore", "a.py"]


@pytest.mark.parametrize("kind", ["git"], indirect=True)
class TestGit:
    """What only a repository can have."""

    def test_a_deleted_file_is_gone_and_a_tracked_one_goes_though_ignored(self, place):
        write(place, "gone.py", "kept.log")
        commit(place)
        (place / "gone.py").unlink()
        write(place, ".gitignore", text="*.log\n")

        assert listed(place) == [".gitignore", "kept.log"]

    def test_submodules_and_repositories_within_are_listed(self, place, tmp_path):
        other = tmp_path / "other"
        write(other, "lib.py", ".gitignore", text="*.o\n")
        commit(other)
        write(place, "train.py")
        run_git(place, "submodule", "add", "-q", str(other), "third/other")
        write(place, "third/other/new.py", "third/other/x.o", "own/a.py")
        commit(place / "own")
        write(place, "own/new.py")

        assert listed(place) == [
            *(".gitmodules", "own", "own/a.py", "own/new.py", "third", "third/other", "third/other/.gitignore"),
            *("third/other/lib.py", "third/other/new.py", "train.py"),
        ]

    def test_a_submodule_that_was_not_checked_out_is_an_empty_directory(self, place, tmp_path):
        other = tmp_path / "other"
        write(other, "lib.py")
        commit(other)
        run_git(place, "submodule", "add", "-q", str(other), "sub")
        commit(place)
        run_git(place, "submodule", "deinit", "-q", "-f", "sub")

        assert listed(place) == [".gitmodules", "sub"]

    def test_a_directory_below_the_top_is_listed_alone(self, place):
        write(place, "top.py", "a/b.py", "a/c.log", ".gitignore", text="*.log\n")
        commit(place)

        assert listed(place / "a") == ["b.py"]

    def test_a_directory_that_the_repository_ignores_is_listed_as_a_plain_one(self, place):
        write(place, "build/out/x.py", ".gitignore", text="build/\n")

        assert listed(place / "build") == ["out", "out/x.py"]

    def test_variables_of_git_lead_nowhere_else(self, place, tmp_path, monkeypatch):
        other = tmp_path / "other"
        write(other, "secret")
        commit(other)
        write(place, "train.py")
        monkeypatch.setenv("GIT_DIR", str(other / ".git"))
        monkeypatch.setenv("GIT_WORK_TREE", str(other))

        assert listed(place) == ["train.py"]

    def test_a_program_that_the_repository_names_is_not_run(self, place, tmp_path):
        write(place, "train.py")
        run_git(place, "config", "core.fsmonitor", f"touch {tmp_path}/ran; false")
        listed(place)

        assert not (tmp_path / "ran").exists()

    def test_a_broken_repository_is_an_error_of_git(self, place):
        write(place, "train.py")
        (place / ".git" / "config").write_text("[broken")
        with pytest.raises(Refused) as refused:
            listed(place)

        assert refused.value.problem["code"] == "SYNC_UNREADABLE"

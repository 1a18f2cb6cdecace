# SPDX-License-Identifier: Apache-2.0
"""What the configuration of a repository would have git run on this machine, while it is compared with its commit."""

import os
import zlib

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._sync import commit, filters, git
from tests.unit.module_utils import code_by_hand
from tests.unit.module_utils.code_by_hand import run_git, write


def found(place):
    return commit.of(os.fsencode(place))


def repository(place, ran, kind="clean"):
    write(place, "train.py", text="1\n")
    write(place, ".gitattributes", text="train.py filter=theirs\n")
    code_by_hand.commit(place)
    run_git(place, "config", f"filter.theirs.{kind}", f"touch {ran}; cat")
    run_git(place, "config", "filter.theirs.required", "true")
    write(place, "train.py", text="2\n")


@pytest.mark.parametrize("kind", ["clean", "process"])
def test_a_filter_of_the_repository_is_not_run(tmp_path, kind):
    repository(tmp_path / "code", tmp_path / "ran", kind)

    assert b"\n-1\n+2\n" in found(tmp_path / "code").diff
    assert not (tmp_path / "ran").exists()


def test_a_filter_of_a_submodule_is_not_run(tmp_path):
    place = tmp_path / "code"
    write(place, "train.py")
    run_git(place, "init", "-q")
    write(place, "third/sub/x")
    repository(place / "third/sub", tmp_path / "ran")
    code_by_hand.commit(place)
    write(place, "third/sub/train.py", text="3\n")

    assert b"\n-1\n+3\n" in found(place).diff
    assert not (tmp_path / "ran").exists()


def test_a_filter_of_the_user_is_run(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    (tmp_path / ".gitconfig").write_text('[filter "own"]\nclean = tr a-z A-Z\n')
    place = tmp_path / "code"
    write(place, ".gitattributes", text="train.py filter=own\n")
    write(place, "train.py", text="one\n")
    code_by_hand.commit(place)
    write(place, "train.py", text="two\n")

    assert b"\n-ONE\n+TWO\n" in found(place).diff


def test_a_filter_that_git_cannot_be_kept_from_leaves_the_commit_unknown(tmp_path):
    repository(tmp_path / "code", tmp_path / "ran")
    run_git(tmp_path / "code", "config", "filter.a=b.clean", f"touch {tmp_path}/ran")

    with pytest.raises(git.GitError):
        filters.turned_off(os.fsencode(tmp_path / "code"))
    assert found(tmp_path / "code") is None


def test_what_a_partial_clone_lacks_is_not_fetched(tmp_path):
    place = tmp_path / "code"
    write(place, "train.py", text="1\n")
    code_by_hand.commit(place)
    for words in (
        ("core.repositoryFormatVersion", "1"),
        ("extensions.partialClone", "origin"),
        ("remote.origin.promisor", "true"),
        ("remote.origin.url", f"ext::touch {tmp_path}/ran"),
        ("protocol.ext.allow", "always"),
    ):
        run_git(place, "config", *words)
    objects = list((place / ".git/objects").glob("??/*"))
    write(place, "train.py", text="2\n")
    for path in objects:
        if zlib.decompress(path.read_bytes()).startswith(b"blob"):
            path.unlink()
    found(place)

    assert not (tmp_path / "ran").exists()

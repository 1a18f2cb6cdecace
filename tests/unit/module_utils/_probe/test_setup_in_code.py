# SPDX-License-Identifier: Apache-2.0
"""A setup runs in a check, too, where the code is the one that is kept for all runs."""

import os

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._node import trees
from ansible_collections.madctl.multinode.plugins.module_utils._probe import node_facts
from ansible_collections.madctl.multinode.plugins.module_utils._sync import keeping, reading
from tests.unit.module_utils.code_by_hand import write


@pytest.fixture
def files(tmp_path):
    """Keep code, as a node does, and return where its files are."""
    write(tmp_path / "code", "train.py", "sub/x", text="1\n")
    tree = reading.read(str(tmp_path / "code"))
    keeping.keep(tree, str(tmp_path / "base"))
    return os.path.join(trees.place(str(tmp_path / "base"), tree.identity), "files")


def left(text, cwd):
    return node_facts._left({"text": text, "login": False, "seconds": 60.0}, cwd, dict(os.environ))


def names(place):
    return sorted(name for _, below, found in os.walk(place) for name in (*below, *found))


def test_it_may_build_and_nothing_of_that_stays(files, tmp_path):
    before = names(tmp_path / "base")
    found = left("echo 2 > train.py; mkdir build; touch sub/y; export OUT=$PWD/build", files)

    assert names(tmp_path / "base") == before
    with open(os.path.join(files, "train.py")) as stream:
        assert stream.read() == "1\n"
    assert (found.cwd, found.env["OUT"]) == (files, os.path.join(files, "build"))


@pytest.mark.parametrize(("text", "place"), [("cd sub", "sub"), ("mkdir build; cd build", ""), ("cd /", "/")])
def test_where_it_leads_is_there_afterwards(files, text, place):
    assert left(text, files).cwd == (os.path.join(files, place).rstrip("/") or "/")


def test_it_begins_where_the_job_does(files):
    found = left("export IN=$PWD; touch z", os.path.join(files, "sub"))

    assert found.env["IN"] == os.path.join(files, "sub") == found.cwd


def test_nothing_of_it_stays_where_it_fails(files, tmp_path):
    before = names(tmp_path / "base")
    with pytest.raises(OSError, match="exit code 3"):
        left("touch z; exit 3", files)

    assert names(tmp_path / "base") == before


def test_other_directories_are_no_copies(tmp_path):
    left("touch made", str(tmp_path))

    assert (tmp_path / "made").exists()

# SPDX-License-Identifier: GPL-3.0-or-later
"""Which work may begin in the code that is sent, and what is told of it."""

import os

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common.refusal import Refused
from ansible_collections.madctl.multinode.plugins.module_utils._sync import code
from tests.unit.module_utils.code_by_hand import commit, run_git, write


@pytest.fixture
def place(tmp_path):
    write(tmp_path / "code", "train.py", "src/main.py", "src/run.sh", "out.log", ".gitignore", text="*.log\n")
    write(tmp_path, "elsewhere.py")
    return tmp_path / "code"


def given(place, *work, shape="script", chdir=None):
    return {"sync": str(place), "work": list(work), "shape": shape, "chdir": chdir, "run_dir": None}


@pytest.mark.parametrize(
    ("chdir", "work", "shape"),
    [
        (None, ["train.py"], "script"),
        (".", ["./train.py", "--lr", "1"], "script"),
        ("src", ["main.py"], "script"),
        ("src/", ["../train.py"], "script"),
        ("src", ["./run.sh"], "command"),
        (None, ["src/run.sh"], "command"),
        (None, ["-m", "anything"], "script"),
        (None, ["hostname"], "command"),
        (None, ["python3", "train.py"], "script"),
        # What only nodes have.
        (None, ["/opt/job/train.py"], "script"),
        (None, ["/bin/true"], "command"),
        (None, [], "script"),
    ],
)
def test_work_in_the_code_or_on_nodes_is_accepted(place, chdir, work, shape):
    found = code.read(given(place, *work, shape=shape, chdir=chdir))
    arguments = found.arguments({"x": 1})

    assert arguments["chdir"] == (None if chdir in (None, ".") else "src")
    assert (arguments["x"], arguments["chdir_required"], arguments["code"]["tree"]) == (1, True, found.tree.identity)


@pytest.mark.parametrize(
    ("chdir", "work", "text"),
    [
        (None, ["main.py"], "main.py is not in the code that is sent: main.py in {place} does not exist"),
        (None, ["out.log.py"], "does not exist"),
        (None, ["../elsewhere.py"], "is not in the code that is sent"),
        ("src", ["../../elsewhere.py"], "is not in the code that is sent"),
        ("src", ["train.py"], "src/train.py in {place} does not exist"),
        (None, ["{place}/train.py"], "write train.py"),
        ("src", ["{place}/train.py"], "write ../train.py"),
        ("/abs", ["train.py"], "the working directory /abs is not in the code"),
        ("..", ["code/train.py"], "the working directory .. is not in the code"),
        ("src/../..", ["train.py"], "is not in the code"),
        ("none", ["train.py"], "the working directory none is not in {place}"),
    ],
)
def test_work_that_is_elsewhere_is_refused_with_where_it_is(place, chdir, work, text):
    with pytest.raises(Refused) as refused:
        code.read(given(place, *(word.format(place=place) for word in work), chdir=chdir))
    found = refused.value.problem

    assert found["code"] == "SYNC_REFUSED"
    assert text.format(place=place) in f"{found['message']}; {found['remedy']}"


def test_a_script_that_is_ignored_is_said_to_be(place):
    write(place, "secret.py")
    write(place, ".madctlignore", text="secret.py\n")
    with pytest.raises(Refused) as refused:
        code.read(given(place, "secret.py"))

    assert "is ignored there" in refused.value.problem["message"]


def test_the_commit_is_told_and_what_does_not_arrive(place):
    commit(place)
    run_git(place, "checkout", "-q", "-b", "fix")
    for number in range(5):
        os.mkfifo(place / f"pipe{number}")
    found = code.read(given(place, "train.py"))
    about = found.about

    assert (about["branch"], about["dirty"], about["files"], about["dir"]) == ("fix", False, 4, str(place))
    [warning] = found.warnings
    assert warning["code"] == "SYNC_LEFT_OUT"
    assert warning["message"].endswith("pipe0, pipe1, pipe2, …")


def test_without_the_option_nothing_is_read():
    assert code.read({"work": ["train.py"], "shape": "script"}) is None

# SPDX-License-Identifier: Apache-2.0
"""A run's own copy of code: writable, restored modes, kept over restarts, and what the job changed in it."""

import os

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._arm import own_code
from ansible_collections.madctl.multinode.plugins.module_utils._common import wire
from ansible_collections.madctl.multinode.plugins.module_utils._node import trees
from ansible_collections.madctl.multinode.plugins.module_utils._runs import cleanup, packing
from ansible_collections.madctl.multinode.plugins.module_utils._sync import reading
from tests.unit.module_utils.code_by_hand import write

RUN = "20260101-000000-0123abcd"


@pytest.fixture
def base(tmp_path):
    """A directory of runs that has a tree of code."""
    code = tmp_path / "code"
    write(code, "train.py", "lib/a.py", "lib/b.py", text="print()\n")
    (code / "run.sh").touch(0o751)
    (code / "closed").mkdir(0o500)
    os.symlink("train.py", code / "link")
    with open(os.path.join(os.fsencode(code), b"\xff"), "wb") as stream:
        stream.write(b"x")
    tree = reading.read(str(code))
    kept = tmp_path / "base" / "sync" / tree.identity
    kept.mkdir(parents=True)
    (kept / "manifest").write_bytes(tree.data)
    os.rename(code, kept / "files")
    trees.verify(str(kept), trees.looks(str(kept), tree.entries))
    return tmp_path / "base"


def tree_of(base):
    return os.listdir(base / "sync")[0]


def armed(base, run_id, origin=RUN):
    run_dir = base / run_id
    run_dir.mkdir()
    code = own_code.Code(str(run_dir), origin, tree_of(base))
    code.place()
    return run_dir, code


def test_a_copy_has_the_modes_and_can_be_changed(base):
    run_dir, _ = armed(base, RUN)
    modes = {path.name: path.lstat().st_mode & 0o777 for path in (run_dir / "code").iterdir() if not path.is_symlink()}

    assert (run_dir / "code").stat().st_mode & 0o777 == 0o700
    assert (modes["run.sh"], modes["closed"]) == (0o751, 0o700)
    assert os.readlink(run_dir / "code/link") == "train.py"
    assert all(mode & 0o200 for mode in modes.values())
    assert (run_dir / "tree").resolve() == base / "sync" / tree_of(base)


def test_a_change_in_a_copy_reaches_neither_the_tree_nor_another_run(base):
    first, _ = armed(base, RUN)
    other, _ = armed(base, "20260101-000000-ffffffff", "20260101-000000-ffffffff")
    (first / "code/train.py").write_text("changed")

    assert (other / "code/train.py").read_text() == (base / "sync" / tree_of(base) / "files/train.py").read_text()


def test_a_restart_takes_the_copy_of_the_attempt_before(base):
    first, _ = armed(base, RUN)
    (first / "code/checkpoint").write_text("1")
    second, _ = armed(base, RUN + ".1")
    assert not (first / "code").exists()

    (second / "code/checkpoint").write_text("2")
    third, _ = armed(base, RUN + ".10")
    assert (third / "code/checkpoint").read_text() == "2"


def test_an_attempt_that_cannot_be_armed_gives_the_copy_back(base):
    first, _ = armed(base, RUN)
    (first / "code/checkpoint").write_text("1")
    second, code = armed(base, RUN + ".1")
    code.give_back()

    assert (first / "code/checkpoint").read_text() == "1" and not (second / "code").exists()


def test_the_copy_of_another_run_is_not_taken(base):
    first, _ = armed(base, RUN + "9", RUN + "9")
    (first / "code/checkpoint").write_text("1")
    second, _ = armed(base, RUN)

    assert (first / "code/checkpoint").exists() and not (second / "code/checkpoint").exists()


@pytest.mark.parametrize("damage", ["manifest", "file", "shorter"])
def test_a_damaged_tree_is_not_copied(base, damage):
    kept = base / "sync" / tree_of(base)
    if damage == "manifest":
        (kept / "manifest").write_bytes(b"[]")
    elif damage == "file":
        (kept / "files/train.py").unlink()
    else:
        (kept / "files/train.py").write_text("p")
    with pytest.raises(OSError, match="."):
        armed(base, RUN)


def names_in(run_dir):
    """Return the names of the files that a collect would fetch."""
    frames = wire.Decoder().feed(b"".join(packing.packed(str(run_dir), trees.unchanged(str(run_dir)))))
    return sorted(header["file"] for header, _ in frames if "file" in header)


def test_only_what_the_job_changed_is_collected(base):
    run_dir, _ = armed(base, RUN)
    assert names_in(run_dir) == []

    (run_dir / "code/lib/a.py").write_text("PRINT()\n")  # as long as before
    (run_dir / "code/out").mkdir()
    (run_dir / "code/out/loss.csv").write_text("1")
    (run_dir / "code/lib/b.py").unlink()
    (run_dir / "code/lib/b.py").symlink_to("/etc/passwd")
    (run_dir / "train.py").write_text("of the job")
    assert names_in(run_dir) == ["code/lib/a.py", "code/out/loss.csv", "train.py"]


def test_a_job_that_removes_the_link_to_its_tree_has_all_collected(base):
    run_dir, _ = armed(base, RUN)
    (run_dir / "tree").unlink()
    (run_dir / "tree").symlink_to("/proc")

    assert "code/train.py" in names_in(run_dir)


def clear(base, **more):
    request = {"run_dir": str(base), "days": 7, "keep": [], "dry_run": False, **more}
    return [entry["name"] for entry in cleanup.clear(request)["programs"]]


def age(path, days=10):
    for one in [path, *path.rglob("*")]:
        os.utime(one, (one.lstat().st_mtime - days * 86400,) * 2, follow_symlinks=False)


def test_gc_removes_old_trees_that_no_run_uses(base):
    tree = f"sync/{tree_of(base)}"
    assert clear(base) == []

    age(base / "sync")
    assert clear(base, dry_run=True) == [tree]
    run_dir = base / RUN
    (run_dir / "logs").mkdir(parents=True)
    own_code.Code(str(run_dir), RUN, tree_of(base)).place()
    (run_dir / "bin").symlink_to("../bin-0")
    assert clear(base) == []

    age(run_dir)
    assert clear(base) == [tree] and os.listdir(base / "sync") == [] and not run_dir.exists()


def test_gc_removes_what_a_killed_store_left(base):
    left = base / "sync/.madctl-gone-x"
    (left / "files").mkdir(parents=True, mode=0o500)
    clear(base)
    assert left.exists()

    age(left)
    clear(base)
    assert not left.exists()


def test_a_tree_of_another_user_is_refused(base, monkeypatch):
    kept = str(base / "sync" / tree_of(base))
    entries = trees.entries_of(kept)
    monkeypatch.setattr(trees.os, "geteuid", lambda: 12345)
    with pytest.raises(OSError, match="another user"):
        trees.is_intact(kept, entries)

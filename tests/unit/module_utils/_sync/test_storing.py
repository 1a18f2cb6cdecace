# SPDX-License-Identifier: Apache-2.0
"""What a node does with a stream that is not what was announced, and with a full disk."""

import hashlib
import io
import os
import zlib
from pathlib import Path

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import manifest
from ansible_collections.madctl.multinode.plugins.module_utils._common.manifest import Entry
from ansible_collections.madctl.multinode.plugins.module_utils._sync import receiving, storing

CONTENT = b"print()\n"
HASH = hashlib.sha256(CONTENT).hexdigest()
GOOD = [Entry(b"a.py", "f", 0o644, len(CONTENT), HASH)]


@pytest.fixture
def store(tmp_path, monkeypatch):
    def run(entries, *pieces, tree=None, data=None):
        data = manifest.written(entries) if data is None else data
        stream = io.BytesIO(b"%08x%s" % (len(data), data) + b"".join(pieces))

        def taken(count):
            found = stream.read(count)
            if len(found) < count:
                raise EOFError("it ends in the middle")
            return found

        monkeypatch.setattr(receiving, "taken", taken)
        request = {"tree": tree or manifest.identity(data), "run_dir": str(tmp_path / "base"), "only_look": False}
        return storing.store(request, lambda _: None)

    return run


def raw(data):
    return b"r%08x%s" % (len(data), data)


def packed(data):
    own = zlib.compress(data)
    return b"z%08x%s" % (len(own), own)


@pytest.mark.parametrize("pieces", [[raw(CONTENT)], [packed(CONTENT)], [raw(CONTENT[:3]), packed(CONTENT[3:])]])
def test_what_was_announced_is_stored(store, pieces):
    found = store(GOOD, *pieces)

    assert {path.name: path.read_bytes() for path in Path(found["place"]).iterdir()} == {"a.py": CONTENT}


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [raw(b"PRINT()\n")],
        [raw(CONTENT[:-1])],
        [b"x00000001a"],
        [b"r00040001"],
        [b"z00000003abc"],
        [packed(b"x" * ((1 << 18) + 1))],
    ],
)
def test_what_was_not_is_refused_and_leaves_nothing(store, tmp_path, pieces):
    found = store(GOOD, *pieces)

    assert found["failed"] and found["msg"]
    assert os.listdir(tmp_path / "base/sync") == []


def test_a_manifest_of_another_tree_is_refused(store):
    assert "another tree" in store(GOOD, raw(CONTENT), tree="0" * 64)["msg"]


def test_a_hostile_manifest_writes_nothing_elsewhere(store, tmp_path):
    row = '["../../out","f",420,%d,"%s"]' % (len(CONTENT), HASH)
    for rows in (
        f"[{row}]",
        f'[["..","l",0,0,"{tmp_path}"],{row}]',
        f'[["d","l",0,0,"{tmp_path}"],{row.replace("../../", "d/")}]',
    ):
        assert store(None, raw(CONTENT), data=rows.encode())["failed"]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("tree", ["..", "../" * 21 + "x", "", "0" * 63, "0" * 64 + "\n"])
def test_an_identity_that_is_a_path_is_refused(store, tree):
    with pytest.raises(OSError, match="identity"):
        store(GOOD, tree=tree or "x")


def test_a_tree_that_does_not_fit_is_refused_before_it_is_sent(store, monkeypatch):
    few = os.statvfs_result((4096, 4096, 100, 10, 10, 100, 10, 10, 0, 255))
    monkeypatch.setattr(storing.os, "statvfs", lambda _: few)

    assert "too little space" in store(GOOD, raw(CONTENT))["msg"]


def test_a_disk_that_fills_meanwhile_is_an_error(store, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(receiving.os, "write", full)
    found = store(GOOD, raw(CONTENT))

    assert "no space left" in found["msg"]
    assert os.listdir(tmp_path / "base/sync") == []

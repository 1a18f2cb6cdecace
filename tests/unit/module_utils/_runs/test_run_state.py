# SPDX-License-Identifier: Apache-2.0
"""What is packed of a run that may still be running."""

import os
import socket

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import run_directory, wire
from ansible_collections.madctl.multinode.plugins.module_utils._runs import packing


def packed(run_dir):
    """Return what is packed, by name; None for directories."""
    found, name = {}, ""
    for header, payload in wire.Decoder().feed(b"".join(packing.packed(str(run_dir), run_directory.OF_SUPERVISOR))):
        name = header.get("file") or header.get("directory") or name
        found[name] = None if "directory" in header else found.get(name, b"") + payload
    return found


def test_what_disappears_while_it_is_packed_is_left_out(tmp_path, monkeypatch):
    run = tmp_path / "run"
    (run / "logs").mkdir(parents=True)
    (run / "logs" / "rank-0.out").write_text("said")
    listed = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: [*listed(path), b"rotated"])

    assert packed(run) == {"logs": None, "logs/rank-0.out": b"said"}


def test_what_only_the_supervisor_needs_is_not_packed(tmp_path, monkeypatch):
    run = tmp_path / "run"
    (run / "logs").mkdir(parents=True)
    for name in ("run.json", "relay.key", "exit.json.partial", "logs/one", "logs/ready"):
        (run / name).write_text("text")
    os.link(run / "logs" / "one", run / "logs" / "other")
    (run / "bin").symlink_to("/usr/bin")
    monkeypatch.chdir(run)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("control.sock")
        found = packed(run)
    files = ("logs/one", "logs/other", "logs/ready", "run.json")
    assert found == {"logs": None, **dict.fromkeys(files, b"text")}


def test_a_pipe_in_place_of_a_file_delays_nothing(tmp_path, monkeypatch):
    run = tmp_path / "run"
    run.mkdir()
    os.mkfifo(run / "pipe")
    (run / "file").write_text("text")
    looked = os.lstat
    monkeypatch.setattr(
        os, "lstat", lambda path: looked(run / "file") if os.fsdecode(path).endswith("pipe") else looked(path)
    )

    assert packed(run) == {"file": b"text"}


def entries(run_dir):
    """Return the headers of an archive without those of bytes."""
    frames = wire.Decoder().feed(b"".join(packing.packed(str(run_dir))))
    return [header for header, _ in frames if header.keys() != {"bytes"}]


def test_one_unreadable_file_affects_no_other(tmp_path, monkeypatch):
    run = tmp_path / "run"
    (run / "closed").mkdir(parents=True)
    for name in ("closed/within", "private", "report"):
        (run / name).write_text("text")
    opened, listed = os.open, os.listdir

    def refuse(call):
        def refused(path, *more, **options):
            if os.fsdecode(path).endswith(("closed", "private")):
                raise PermissionError(13, "Permission denied", path)
            return call(path, *more, **options)

        return refused

    monkeypatch.setattr(os, "open", refuse(opened))
    monkeypatch.setattr(os, "listdir", refuse(listed))
    found = entries(run)

    assert [header["file"] for header in found[:-1]] == ["report"]
    assert found[-1] == {"end": True, "left_out": 2, "names": ["closed", "private"]}


@pytest.mark.parametrize(("time", "expected"), [(-5, 0), (1 << 34, (1 << 33) - 1), (7, 7)])
def test_a_file_of_any_time_is_packed(tmp_path, time, expected):
    (tmp_path / "file").write_text("text")
    os.utime(tmp_path / "file", (time, time))

    assert entries(tmp_path) == [{"file": "file", "time": expected}, {"end": True}]


def test_directories_are_packed_as_deep_as_an_archive_goes(tmp_path):
    place = tmp_path / "/".join(["d"] * 63)
    (place / "d" / "d").mkdir(parents=True)
    for path in (tmp_path / "file", place / "file", place / "d" / "file"):
        path.write_text("text")
    found = entries(tmp_path)

    assert sum("directory" in header for header in found) == packing.DEPTH - 1
    assert found[-2]["file"] == "file" and found[-1]["left_out"] == 2


def test_no_more_entries_are_packed_than_an_archive_may_hold(tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "ENTRIES", 4)
    for number in range(10):
        (tmp_path / str(number)).write_text("text")
    found = entries(tmp_path)

    assert [header["file"] for header in found[:-1]] == ["0", "1", "2", "3"]
    assert found[-1] == {"end": True, "left_out": 6, "names": ["4", "5", "6"]}


def test_nothing_empty_is_packed_nor_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "ENTRIES", 2)
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "empty").touch()
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "file").write_text("text")

    assert [header.get("directory") or header.get("file") for header in entries(tmp_path)] == ["c", "c/file", None]


def test_names_that_begin_alike_are_all_spelled(tmp_path):
    found = packing._spelled([b"\x1b" * 60 + b"%d" % number for number in range(10_000)])

    assert len({name for name, _ in found}) == 10_000

# SPDX-License-Identifier: Apache-2.0
"""What is packed of a run that may still go on."""

import os
import socket

from ansible_collections.madctl.multinode.plugins.module_utils import _runs, _wire


def packed(run_dir):
    """What is packed, by name; None for directories."""
    found, name = {}, ""
    for header, payload in _wire.Decoder().feed(b"".join(_runs.packed(str(run_dir)))):
        name = header.get("file") or header.get("directory") or name
        found[name] = None if "directory" in header else found.get(name, b"") + payload
    return found


def test_what_goes_while_it_is_packed_is_left_out(tmp_path, monkeypatch):
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


def test_a_pipe_that_takes_the_place_of_a_file_holds_up_nobody(tmp_path, monkeypatch):
    run = tmp_path / "run"
    run.mkdir()
    os.mkfifo(run / "pipe")
    (run / "file").touch()
    looked = os.lstat
    monkeypatch.setattr(
        os, "lstat", lambda path: looked(run / "file") if os.fsdecode(path).endswith("pipe") else looked(path)
    )

    assert packed(run) == {"file": b""}

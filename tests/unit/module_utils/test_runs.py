# SPDX-License-Identifier: Apache-2.0
"""What is packed of a run that may still go on."""

import os
import socket
import tarfile

from ansible_collections.madctl.multinode.plugins.module_utils import _runs


def packed(run_dir, place):
    with tarfile.open(place, "w", dereference=True) as archive:
        _runs._add(archive, str(run_dir), ".", _runs._ITS_OWN)
    with tarfile.open(place) as archive:
        return sorted(archive.getnames())


def test_what_goes_while_it_is_packed_is_left_out(tmp_path, monkeypatch):
    run = tmp_path / "run"
    (run / "logs").mkdir(parents=True)
    (run / "logs" / "rank-0.out").write_text("said")
    listed = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: [*listed(path), "rotated"])

    assert packed(run, tmp_path / "run.tar") == [".", "./logs", "./logs/rank-0.out"]


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

        names = packed(run, tmp_path / "run.tar")
    assert names == [".", "./logs", "./logs/one", "./logs/other", "./logs/ready", "./run.json"]
    with tarfile.open(tmp_path / "run.tar") as archive:
        assert archive.extractfile("./logs/other").read() == b"text"

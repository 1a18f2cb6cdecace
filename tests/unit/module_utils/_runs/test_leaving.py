# SPDX-License-Identifier: Apache-2.0
"""The end of a run in a job on one node: what is kept, what is removed, and what stays with its reason."""

import gzip
import os
import time
from pathlib import Path

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import run_directory, wire
from ansible_collections.madctl.multinode.plugins.module_utils._runs import leaving


@pytest.fixture
def request_(tmp_path):
    base = tmp_path / "madctl-0-7"
    run_dir = base / "r1"
    (run_dir / "logs").mkdir(parents=True)
    (base / "bin-1").mkdir()
    for name in ("rank-0.out", "rank-0.out.5", "rank-0.out.times", "rank-1.out", "rank-0.outer", "own"):
        (run_dir / "logs" / name).write_text(name)
    (run_dir / "rank-0.out").write_text("of the job")
    (run_dir / "spec.json").write_text("secret")
    locked = run_dir / "locked"
    locked.mkdir()
    (locked / "file").write_text("x")
    pack = str(tmp_path / "a.pack")
    return {"base": str(base), "run_dir": str(run_dir), "pack": pack, "whole": ["rank-0.out"], "most": 1 << 20}


def packed(request):
    with gzip.open(request["pack"]) as stream:
        frames = list(wire.Decoder().feed(stream.read()))
    return [header["file"] for header, _ in frames if "file" in header]


def test_what_is_nowhere_else_is_kept_and_all_is_removed(request_):
    assert leaving.leave(request_) == {"still": None}

    own = ["logs/own", "logs/rank-0.out.times", "logs/rank-0.outer", "logs/rank-1.out", "rank-0.out"]
    assert packed(request_) == ["locked/file", *own] and not os.path.exists(request_["base"])
    assert os.stat(request_["pack"]).st_mode & 0o077 == 0
    assert leaving.leave(request_) == {"still": None}, "it is gone already"


def test_a_directory_that_is_too_large_stays(request_):
    with open(os.path.join(request_["run_dir"], "large"), "wb") as stream:
        stream.write(os.urandom(2 << 20))

    assert leaving.leave(request_) == {"still": "it is larger than 1 MiB"}
    assert os.path.isdir(request_["run_dir"]) and not os.path.exists(request_["pack"] + ".partial")


def test_what_cannot_be_kept_stays_with_the_reason(request_):
    request_["pack"] = "/nowhere/a.pack"

    assert "no such file or directory" in leaving.leave(request_)["still"] and os.path.isdir(request_["run_dir"])


def test_a_node_that_never_took_part_is_cleared_too(request_):
    assert leaving.leave({**request_, "run_dir": None}) == {"still": None}
    assert not os.path.exists(request_["base"]) and not os.path.exists(request_["pack"])


def test_what_a_job_left_that_was_killed_a_week_ago_goes_with_the_next_one(request_, tmp_path, monkeypatch):
    monkeypatch.setattr(run_directory, "_USUAL", f"{tmp_path}/madctl-")
    own = f"{tmp_path}/madctl-{os.geteuid()}"
    for name, days in (("-5", 10), ("-6", 5), ("", 10), ("-x", 10)):
        place = Path(f"{own}{name}/20260101-000000-00000000/logs")
        place.mkdir(parents=True)
        for path in (place, place.parent):
            os.utime(path, (time.time() - days * 86400,) * 2)
    leaving.leave(request_)

    assert sorted(path.name for path in tmp_path.glob("madctl-*")) == [Path(own + end).name for end in ("", "-6", "-x")]

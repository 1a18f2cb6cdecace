# SPDX-License-Identifier: Apache-2.0
"""A run that was stopped starts on no node, however early the stop comes."""

import json
import os
import stat

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._arm import arming
from ansible_collections.madctl.multinode.plugins.module_utils._node import stop_mark
from ansible_collections.madctl.multinode.plugins.module_utils._runs import cleanup, run_end, run_state, survey

pytestmark = pytest.mark.slow

# Of this process alone: a run is looked for on the whole machine.
RUN = f"20261101-120000-{os.urandom(4).hex()}"


@pytest.fixture
def base(tmp_path):
    return tmp_path / "base"


def end(base, run_id=RUN, **more):
    return run_end.end({"run_id": run_id, "base": str(base), "grace": 0.0, "dry_run": False, **more})


def armed(base, monkeypatch, run_id=RUN, origin=RUN):
    """Arm as far as the run directory, and return the answer."""
    monkeypatch.setattr(arming.prove, "prove", lambda *_: {})
    request = {
        "run_dir": f"{base}/{run_id}",
        "origin": origin,
        "digest": "0" * 64,
        "programs": {},
        "proof": {},
        "tree": None,
        "trees": None,
    }
    # The next thing that it needs does not exist.
    return arming.arm({**request, "hostfile": None, "about": None}, lambda _: None)


def test_a_run_that_is_stopped_before_it_is_armed_is_not_armed(base, monkeypatch):
    stopped = end(base)
    answer = armed(base, monkeypatch)

    assert stopped == {"changed": False, "known": False, "left": []}
    assert (answer["failed"], answer["stopped"]) == (True, True)
    assert os.listdir(base / RUN) in (["stopped", "exit.json"], ["exit.json", "stopped"])


def test_stopping_twice_is_the_same_as_stopping_once(base):
    assert end(base) == end(base) == end(base, grace=0.0)


def test_only_a_stop_is_reported_as_one(base, monkeypatch):
    (base / RUN).mkdir(parents=True)

    assert armed(base, monkeypatch)["stopped"] is False


def test_a_dry_run_forbids_nothing(base):
    assert end(base, dry_run=True)["known"] is False
    assert not base.exists()


def test_later_attempts_are_stopped_too(base, monkeypatch):
    end(base, RUN + ".1")

    assert armed(base, monkeypatch, RUN + ".2")["stopped"] is True
    assert not stop_mark.is_halted(f"{base}/{RUN}.3", f"{RUN}.3"), "an id of its own"


@pytest.mark.parametrize("name", [RUN, RUN + ".1"], ids=["first", "again"])
def test_a_supervisor_that_comes_after_the_stop_starts_nothing(arm, tmp_path, name):
    end(tmp_path, name)
    run = arm("sh", "-c", "echo started", origin=RUN)
    run.process.wait(60)

    assert run.said == "the run was stopped"
    assert not (run.run_dir / "logs" / "runner.out").exists()


def test_a_stop_in_the_middle_of_arming_is_seen(base, arm, tmp_path):
    """Between the directory and the process nothing exists that could be signalled."""
    (base / RUN).mkdir(parents=True)
    assert end(base)["left"] == []
    assert stop_mark.is_halted(str(base / RUN), RUN)


def test_a_stop_before_the_start_is_reported_as_one(arm, tmp_path):
    run = arm("sh", "-c", "echo started")
    # Without any grace it is killed before it writes its record.
    assert end(tmp_path, run.run_id, grace=20.0)["left"] == []
    run.process.wait(60)

    assert (run.record["outcome"], run.record["stopped"], run.record["reason"]) == ("disarmed", True, "stopped")


def test_a_run_that_never_existed_counts_as_ended(base):
    end(base)
    seen = run_state.look({"run_id": RUN, "run_dir": str(base / RUN)})

    assert (seen["state"], seen["exit"]["outcome"], seen["exit"]["stopped"]) == ("exited", "disarmed", True)
    assert survey.survey({"run_dir": str(base)}) == {"runs": []}


@pytest.mark.parametrize("name", [RUN, "chosen"], ids=["run", "chosen"])
def test_gc_removes_it(base, name):
    end(base, name)
    os.utime(base / name, (0, 0))
    for part in os.listdir(base / name):
        os.utime(base / name / part, (0, 0))
    request = {"run_dir": str(base), "days": 1, "keep": [], "dry_run": False}

    assert [run["run_id"] for run in cleanup.clear(request)["removed"]] == [name]
    assert os.listdir(base) == []


def test_the_mark_is_private_to_this_user(base):
    end(base)

    assert [stat.S_IMODE(os.stat(path).st_mode) for path in (base, base / RUN)] == [0o700, 0o700]
    assert json.loads((base / RUN / "exit.json").read_text())["outcome"] == "disarmed"


@pytest.mark.parametrize("name", ["../out", "a/b", "", ".", "..", ".hidden", "a\nb", "x" * 300])
def test_no_id_leads_out_of_the_directory(base, name):
    answer = end(base, name)

    assert (answer["failed"], "not the id of a run" in answer["msg"]) == (True, True)
    assert os.listdir(base.parent) == []


def test_where_nothing_can_be_written_the_run_is_not_reported_as_over(base, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(stop_mark.os, "mkdir", full)
    answer = end(base)

    assert (answer["failed"], "a launch in progress may still start it here" in answer["msg"]) == (True, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="another user's directory")
@pytest.mark.parametrize("kind", ["directory", "link"])
def test_a_directory_of_another_user_takes_no_run_and_no_file(base, monkeypatch, tmp_path, kind):
    if kind == "directory":
        base.mkdir()
    else:
        (tmp_path / "elsewhere").mkdir()
        base.symlink_to(tmp_path / "elsewhere")
    os.lchown(base, 65534, 65534)
    stopped, refused = end(base), armed(base, monkeypatch)

    assert (stopped["left"], refused["failed"]) == ([], True)
    assert "belongs to another user" in refused["msg"]
    assert os.listdir(base) == []

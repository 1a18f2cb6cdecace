# SPDX-License-Identifier: Apache-2.0
"""What runs left on a node: what is listed, what goes, and what never does."""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import node_answers, run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._node import mount_table, node_lock
from ansible_collections.madctl.multinode.plugins.module_utils._runs import cleanup, survey

RUN, OTHER, THIRD = "20261101-120000-aaaaaaaa", "20261102-120000-bbbbbbbb", "20261103-120000-cccccccc"
DIGEST = "bin-" + "0123456789abcdef" * 4
DAY = 86400


@pytest.fixture
def base(tmp_path):
    path = tmp_path / "base"
    path.mkdir(0o700)
    (path / "lock").write_text("")
    return path


def age(path, days):
    """Make everything in a directory old, links included."""
    when = time.time() - days * DAY
    for root, directories, files in os.walk(path, topdown=False):
        for name in directories + files:
            os.utime(os.path.join(root, name), (when, when), follow_symlinks=False)
    os.utime(path, (when, when))


def run(base, name=RUN, days=10.0, ended=True, programs=None, about=None):
    path = base / name
    (path / "logs").mkdir(parents=True)
    if programs:
        (base / programs).mkdir(exist_ok=True)
        (path / "bin").symlink_to("../" + programs)
    else:
        (path / "bin").mkdir()
    (path / "hostfile").write_text("10.0.0.1 slots=1\n")
    (path / "events.jsonl").write_text('{"event": "started"}\n')
    (path / "logs" / "rank-0.out").write_text("x" * 10000)
    if ended:
        record = {"outcome": "exited", "exit_code": 0, "stopped": False}
        (path / "exit.json").write_text(json.dumps(record))
    if about is not None:
        (path / "run.json").write_text(about if isinstance(about, str) else json.dumps(about))
    age(path, days)
    return path


def about(name=RUN, **more):
    plan = {"runner": "torchrun", "shape": "script", "master_addr": "10.0.0.1", "master_port": 29500}
    plan.update(nnodes=2, world_size=4)
    whole = {"run_id": name, "created": 1.5e9, "host": "a", "node_rank": 0, "hosts": ["a", "b"], "plan": plan}
    return {**whole, "work": ["train.py", {"base64": "/w=="}], **more}


def clear(base, days=7, keep=(), dry_run=False):
    request = {"run_dir": str(base), "days": days, "keep": list(keep), "dry_run": dry_run}
    found = cleanup.clear(request)
    return [entry["run_id"] for entry in found["removed"]], found


def surveyed(base):
    return {entry["run_id"]: entry for entry in survey.survey({"run_dir": str(base)})["runs"]}


@pytest.fixture
def process(base, alone):
    """Start a process that has to do with a run; ended with the test."""
    started = []

    def start(argv=(), env=None, cwd=None):
        code = "import sys, time; print('up', flush=True); time.sleep(60)"
        argv = [sys.executable, "-c", code, *argv]
        child = subprocess.Popen(argv, env={**os.environ, **(env or {})}, cwd=cwd, stdout=subprocess.PIPE)
        child.stdout.readline()
        started.append(child)
        return child

    yield start
    for child in started:
        child.kill()
        child.wait()


# -- what goes -----------------------------------------------------------------------------------------


def test_an_old_run_goes_and_a_young_one_stays(base):
    run(base, RUN, days=10)
    run(base, OTHER, days=6)
    run(base, THIRD, days=10, ended=False)
    gone, found = clear(base)

    assert gone == [RUN, THIRD]
    assert sorted(os.listdir(base)) == [OTHER, "lock"]
    assert found["held"] == [OTHER]
    assert found["removed"][0]["bytes"] >= 10000
    assert found["stuck"] == []
    assert clear(base)[0] == []


def test_the_newest_file_counts_however_deep(base):
    path = run(base)
    (path / "torchrun" / "deep").mkdir(parents=True)
    age(path, 10)
    os.utime(path / "torchrun" / "deep")

    assert clear(base)[0] == []


def test_a_dry_run_reports_the_same_and_removes_nothing(base):
    path = run(base, programs=DIGEST)
    age(base / DIGEST, 10)
    gone, found = clear(base, dry_run=True)

    assert (gone, [entry["name"] for entry in found["programs"]]) == ([RUN], [DIGEST])
    assert path.exists()
    assert (base / DIGEST).exists()


@pytest.mark.parametrize("trace", ["environment", "supervisor", "argument", "directory", "lock"])
def test_a_run_with_a_process_stays(base, process, trace):
    path = run(base)
    how = {
        "environment": {"env": {"MADCTL_RUN_ID": RUN}},
        "supervisor": {"argv": [str(base / DIGEST / "madctl_node.py"), "supervisor", str(path)]},
        "argument": {"argv": [str(path / "logs" / "rank-0.out")]},
        "directory": {"cwd": path / "logs"},
        "lock": {},
    }[trace]
    if trace == "lock":
        (base / "lock").write_text(RUN + "\n")
        lock = os.open(base / "lock", os.O_RDWR)
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert clear(base)[0] == []
        os.close(lock)
    else:
        child = process(**how)
        assert clear(base, days=0)[0] == []
        assert RUN in survey.alive({"run_dir": str(base)})["alive"]
        child.kill()
        child.wait()

    assert clear(base)[0] == [RUN]


def test_a_run_that_lives_on_another_node_stays(base):
    run(base)

    assert clear(base, keep=[RUN])[0] == []
    assert clear(base)[0] == [RUN]


def test_even_with_no_days_nothing_that_may_be_arming_goes(base):
    run(base, RUN, days=0.001, ended=False)
    run(base, OTHER, days=0.001)
    (base / DIGEST).mkdir()

    assert clear(base, days=0)[0] == [OTHER]
    assert sorted(os.listdir(base)) == [RUN, DIGEST, "lock"]


def test_shared_programs_stay_while_a_run_uses_them(base):
    run(base, RUN, programs=DIGEST)
    run(base, OTHER, days=1, programs=DIGEST)
    age(base / DIGEST, 10)
    assert clear(base, dry_run=True)[1]["programs"] == []
    first = clear(base)[1]
    age(base / OTHER, 10)
    second = clear(base)[1]

    assert first["programs"] == []
    assert [entry["name"] for entry in second["programs"]] == [DIGEST]
    assert os.listdir(base) == ["lock"]


def test_young_programs_stay_without_any_run(base):
    (base / DIGEST).mkdir()
    age(base / DIGEST, 6)

    assert clear(base)[1]["programs"] == []


def test_programs_that_a_launch_takes_up_at_that_moment_come_back(base, monkeypatch):
    (base / DIGEST).mkdir()
    (base / DIGEST / "madctl_node.py").write_text("")
    age(base / DIGEST, 10)
    rename = os.rename

    def arm_then_rename(source, target):
        # What arming does before it links: it marks the programs as used.
        if str(source).endswith(DIGEST):
            os.utime(source)
        rename(source, target)

    monkeypatch.setattr(cleanup.os, "rename", arm_then_rename)

    assert clear(base)[1]["programs"] == []
    assert (base / DIGEST / "madctl_node.py").exists()


# -- what never goes -----------------------------------------------------------------------------------


def test_a_link_is_neither_followed_nor_removed(base, tmp_path):
    outside = run(tmp_path / "outside", RUN)
    (base / OTHER).symlink_to(outside)
    path = run(base, THIRD)
    (path / "dataset").symlink_to(outside)
    age(path, 10)

    assert clear(base)[0] == [THIRD]
    assert (base / OTHER).is_symlink()
    assert (outside / "exit.json").exists()
    assert list(surveyed(base)) == []


def test_what_does_not_look_like_a_run_stays(base):
    for name, parts in {"kafka": ["bin", "logs"], RUN: ["bin", "data"], "notes": [], ".gone-fishing": ["x"]}.items():
        for part in [name, *(f"{name}/{part}" for part in parts)]:
            (base / part).mkdir()
        age(base / name, 100)

    assert clear(base)[0] == []
    assert sorted(os.listdir(base)) == sorted([".gone-fishing", RUN, "kafka", "lock", "notes"])


def test_a_run_with_a_name_of_its_own_is_one(base):
    run(base, "lauf-ü")

    assert list(surveyed(base)) == ["lauf-ü"]
    assert clear(base)[0] == ["lauf-ü"]


def test_the_base_of_another_user_is_left_alone(base, monkeypatch):
    run(base)
    monkeypatch.setattr(os, "geteuid", lambda: 54321)

    assert clear(base)[1] == {"removed": [], "programs": [], "held": [], "stuck": []}
    assert surveyed(base) == {}


def test_what_is_mounted_in_a_run_stays(base, monkeypatch):
    path = run(base)
    monkeypatch.setattr(mount_table, "points", lambda: ["/", f"{path}/data"])

    assert clear(base)[0] == []


def test_read_only_directories_are_removed_too(base):
    path = run(base)
    (path / "cache" / "inner").mkdir(parents=True)
    (path / "cache" / "inner" / "file").write_text("")
    age(path, 10)
    (path / "cache" / "inner").chmod(0o500)
    (path / "cache").chmod(0o500)

    assert clear(base)[0] == [RUN]
    assert os.listdir(base) == ["lock"]


def test_what_cannot_be_removed_is_named_and_retried(base, monkeypatch):
    run(base)

    def refuse(path):
        raise PermissionError(1, "Operation not permitted", path)

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", refuse)
        stuck = clear(base)[1]["stuck"]
    left = [name for name in os.listdir(base) if name.startswith(run_directory.GONE)]
    age(base / left[0], 10)
    clear(base)

    assert [entry["reason"] for entry in stuck] == ["operation not permitted"]
    assert len(left) == 1
    assert os.listdir(base) == ["lock"]


# -- what is listed --------------------------------------------------------------------------------------


def test_a_run_is_described(base):
    said = {**about(), "addresses": ["10.0.0.1"] * len(about()["hosts"])}
    path = run(base, about=said)
    found = surveyed(base)[RUN]

    assert (found["state"], found["run_dir"]) == ("exited", str(path))
    assert found["exit"] == {"outcome": "exited", "exit_code": 0, "stopped": False}
    assert found["described"] == {**said, "name": None, "note": None}


def test_a_run_may_have_a_name_and_a_note(base):
    run(base, about={**about(), "name": "big-1", "note": "é"})
    found = surveyed(base)[RUN]["described"]

    assert (found["name"], found["note"]) == ("big-1", "é")


@pytest.mark.parametrize("odd", [{"name": "-x"}, {"name": "202611"}, {"name": "x" * 41}, {"note": "x" * 201}])
def test_a_description_with_an_impossible_name_is_not_one(base, odd):
    run(base, about={**about(), **odd})

    assert surveyed(base)[RUN]["described"] is None


@pytest.mark.parametrize("addresses", [None, ["10.0.0.1"], "10.0.0.1", [1, 2]])
def test_invalid_addresses_are_none(base, addresses):
    run(base, about={**about(), "addresses": addresses, "hosts": ["a", "b"], "plan": {**about()["plan"], "nnodes": 2}})

    assert surveyed(base)[RUN]["described"]["addresses"] is None


def test_lost_and_running(base, process):
    run(base, RUN, ended=False)
    path = run(base, OTHER, ended=False)
    process([str(base / "x" / "madctl_node.py"), "supervisor", str(path)])

    assert {name: entry["state"] for name, entry in surveyed(base).items()} == {RUN: "lost", OTHER: "running"}


HOSTILE = {
    "empty": "",
    "no object": "[]",
    "half": '{"run_id": ',
    "deep": "[" * 200000,
    "huge": '{"run_id": "%s"}' % ("x" * (2 << 20)),
    "another run": about("20261104-120000-dddddddd"),
    "a path": about("../../etc"),
    "no number": about(created="yesterday"),
    "not a number": json.dumps(about(created=float("nan"))),
    "true": about(created=True),
    "far rank": about(node_rank=2),
    "no hosts": about(hosts=[]),
    "escape in a host": about(hosts=["a", "b\x1b[2J"]),
    "host is a list": about(hosts=["a", ["b"]]),
    "other count": about(hosts=["a", "b", "c"]),
    "surrogate": about(work=["\ud800"]),
    "no base64": about(work=[{"base64": "%%%"}]),
    "number as word": about(work=[1]),
    "plan is text": about(plan="plan"),
    "no plan": {key: value for key, value in about().items() if key != "plan"},
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_broken_description_is_none(base, text):
    run(base, about=text)

    assert surveyed(base)[RUN]["described"] is None


@pytest.mark.parametrize("kind", ["link", "fifo", "directory"])
@pytest.mark.parametrize("name", ["run.json", "exit.json", "events.jsonl"])
def test_records_that_are_no_files_are_not_read(base, tmp_path, name, kind):
    path = run(base, ended=False, about=about())
    (path / name).unlink(missing_ok=True)
    (tmp_path / "elsewhere").write_text(json.dumps(about()))
    if kind == "link":
        (path / name).symlink_to(tmp_path / "elsewhere")
    elif kind == "fifo":
        os.mkfifo(path / name)
    else:
        (path / name).mkdir()
    found = surveyed(base)[RUN]

    assert found["state"] == "lost"
    assert (found["described"] is None) == (name == "run.json")


def test_events_that_no_supervisor_wrote_break_nothing(base):
    path = run(base, ended=False)
    (path / "events.jsonl").write_text("[]\n5\n")

    assert surveyed(base)[RUN]["state"] == "lost"


def test_what_is_found_travels_as_json(base):
    run(base, about=about())

    json.dumps(surveyed(base))
    json.dumps(survey.alive({"run_dir": str(base)}))


def test_a_pipe_in_the_place_of_the_lock_delays_nothing(base):
    (base / "lock").unlink()
    os.mkfifo(base / "lock")
    with time_limit(60):
        assert node_lock.holder(str(base / "lock")) is None


@contextlib.contextmanager
def time_limit(seconds):
    """Fail what does not return in time."""

    def fail(*_):
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def test_the_lock_may_hold_any_bytes(base):
    (base / "lock").write_bytes(b"\xff" * 1000)
    with open(base / "lock", "rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        assert node_lock.holder(str(base / "lock")) == "\ufffd" * 256


def test_a_copy_of_a_run_under_a_hidden_name_affects_no_other(base):
    run(base, about=about())
    run(base, ".saved-run")
    (base / RUN / "events.jsonl").touch()
    found = survey.survey({"run_dir": str(base)})

    assert [entry["run_id"] for entry in found["runs"]] == [RUN]
    assert node_answers.checked("survey", json.loads(json.dumps(found))) == found


def test_a_run_of_more_words_than_a_description_has_is_listed_without_it(base):
    run(base, about=about(work=["x"] * 70_000))
    run(base, OTHER, about=about(OTHER))
    found = survey.survey({"run_dir": str(base)})

    assert [bool(entry["described"]) for entry in node_answers.checked("survey", found)["runs"]] == [False, True]


def test_what_a_verdict_depends_on_is_listed(base):
    path = run(base)
    record = {"outcome": "exited", "exit_code": 0, "stopped": False, "signal": None, "reason": None, "trouble": "x"}
    record.update(ranks_joined=1, apart=[0], left_behind=["5 (python)"])
    (path / "exit.json").write_text(json.dumps({**record, "more": 1}))
    assert surveyed(base)[RUN]["exit"] == record
    (path / "exit.json").write_text(json.dumps({**record, "ranks_joined": "all", "left_behind": 0, "apart": [-1]}))
    assert not {"ranks_joined", "left_behind", "apart"} & set(surveyed(base)[RUN]["exit"])

# SPDX-License-Identifier: Apache-2.0
"""What this machine remembers of runs: which is meant, and files that anything may have happened to."""

import contextlib
import json
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._request.hostlist import Host
from madctl import cli
from madctl.errors import MadctlError, UsageError
from madctl.housekeeping import plays
from madctl.nodes.inventory import Targets, build
from madctl.playbook import ask
from madctl.playbook.session import RunSession
from madctl.records import record_store, run_record
from madctl.screen.view import View
from tests import hostile

RUN = "20261101-120000-aaaaaaaa"
OTHER = "20261101-120000-aabbbbbb"
PLAN = {"runner": "torchrun", "shape": "script", "master_addr": "a", "master_port": 1, "nnodes": 2, "world_size": 2}
NODES = [{"host": host, "node_rank": rank, "run_dir": "/var/tmp/madctl-0/r"} for rank, host in enumerate(("a", "b"))]
CODE = {"tree": "0" * 64, "dir": "/x", "files": 1, "bytes": 2, "commit": "a" * 40, "branch": "main\x1b", "dirty": True}
TARGETS = Targets(("a", "b"), build([Host("a"), Host("b")], "me", 22, "-o x"), ("i.yml",))


@pytest.fixture(autouse=True)
def own_records(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def remember(run_id=RUN, **changes):
    found = record_store.create({**PLAN, "run_id": run_id, "nodes": NODES}, TARGETS, ["train.py", {"base64": "/w=="}])
    assert record_store.save(found) is None
    place = path(run_id)
    if changes:
        place.write_text(json.dumps({**json.loads(place.read_text()), **changes}))
    return found


def path(run_id=RUN):
    return record_store.directory() / f"{run_id}.json"


def refused(run_id=RUN):
    with pytest.raises(UsageError) as caught:
        record_store.load(run_id)
    (problem,) = caught.value.problems
    return problem


# -- which run is meant --------------------------------------------------------------------------------

MEANT = {
    "its id": ([RUN, OTHER], RUN, RUN),
    "a beginning": ([RUN, OTHER], RUN[:-5], RUN),
    "its id, beside a restart": ([RUN, f"{RUN}.1"], RUN, RUN),
    "its id, beside another that begins so": ([RUN, f"{RUN}b"], RUN, RUN),
    "a restart": ([RUN, f"{RUN}.1", f"{RUN}.10"], f"{RUN}.1", f"{RUN}.1"),
    "a beginning of a run and its restarts": ([f"{RUN}.1", RUN, f"{RUN}.2"], RUN[:-2], RUN),
    "the latest": ([OTHER, RUN], None, OTHER),
    "the latest by number": ([OTHER, RUN], "-1", OTHER),
    "the one before": ([OTHER, RUN], "-2", RUN),
    "one before the first": ([OTHER, RUN], "-3", None),
    "no number": ([OTHER, RUN], "-0", None),
    "a name that no run has": ([OTHER, RUN], "big", None),
    "too little": ([RUN, OTHER], RUN[:-8], None),
    "a run, its restart and another": ([RUN, f"{RUN}.1", OTHER], RUN[:-7], None),
    "nothing": ([RUN], "", None),
    "a path": ([RUN], f"../runs/{RUN}", None),
    "another path": ([RUN], "../../etc/passwd", None),
    "more than its id": ([RUN], f"{RUN}.json", None),
}


@pytest.mark.parametrize("case", MEANT)
def test_which_run_is_meant(case):
    present, wanted, expected = MEANT[case]
    for run_id in present:
        remember(run_id)

    if expected is None:
        assert refused(wanted).code == "RUN_UNKNOWN"
    else:
        assert record_store.load(wanted).run_id == expected


def test_a_name_means_the_newest_run_that_has_it_and_an_id_comes_first():
    remember(RUN, name="big")
    remember(OTHER, name="big")
    remember("2027", name="other")
    remember("big-2", name="2x")

    assert record_store.load("big").run_id == OTHER
    assert record_store.load("big-2").run_id == "big-2"
    assert record_store.load("big-").run_id == "big-2"


@pytest.mark.parametrize("name", ["-1", "20261101", "202611", "1.5", "7", "", ".x", "a b", "x" * 41, "a\n", "é"])
def test_a_name_is_no_number_and_no_id(name):
    remember(name=name)

    assert "its name is invalid" in refused().message


def test_a_record_of_before_there_were_names_is_readable():
    found = remember()
    known = json.loads(path().read_text())
    for key in ("name", "note", "began", "ended", "seen", "cause", "attempts"):
        del known[key]
    path().write_text(json.dumps(known))

    assert record_store.load(RUN) == found


def answer(code=0, state="exited", **more):
    record = {"outcome": "exited", "exit_code": code, "signal": None, "stopped": False, "time": 50.0}
    record.update(ranks_joined=1, apart=[], left_behind=[], trouble=None)
    known = {"container": None, "joined": 1, "processes": 0, "storage": None, "left": [], "known": True}
    return {**known, "state": state, "exit": record if state == "exited" else None, "changed": False, **more}


def asked_of(monkeypatch, a, b):
    nodes = {host: found for host, found in (("a", a), ("b", b)) if found}
    monkeypatch.setattr(ask, "nodes", lambda *_: {"nodes": nodes, "problems": []})


def test_what_this_machine_saw_of_an_end_stays_whatever_nodes_say(monkeypatch, capsys):
    """A node that was lost may have written that all went well."""
    remember(status="failed", exit_code=7, cause="b: the connection to it was lost", began=10.0, ended=20.0)
    asked_of(monkeypatch, answer(), answer())

    assert cli.main(["status", "--exit-code"]) == 7
    assert capsys.readouterr().out.startswith("failed after 10 s: b: the connection to it was lost\n")


def test_a_run_whose_end_was_not_seen_has_the_one_that_its_nodes_say(monkeypatch, capsys):
    remember(began=10.0)
    asked_of(monkeypatch, answer(), answer(3, error="OSError: full"))

    assert cli.main(["status", "--exit-code", "--output", "json"]) == 6
    whole = json.loads(capsys.readouterr().out)
    assert (whole["status"], whole["exit_code"], whole["data"]["run"]["status"]) == ("succeeded", 0, "failed")
    assert whole["data"]["run"]["cause"] == "b: torchrun failed: exit code 3: OSError: full"
    kept = record_store.load(RUN)
    assert (kept.status, kept.exit_code, kept.ended) == ("failed", 6, 50.0)
    assert kept.cause == "b: torchrun failed: exit code 3", "no output of the job is kept"
    assert cli.main(["ps", "--failed"]) == 0 and "failed: b: torchrun failed: exit code 3" in capsys.readouterr().out
    assert cli.main(["stop", "--output", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["data"]["run"]["status"] == "failed"


def test_a_run_that_stop_finds_failed_is_not_a_stopped_one(monkeypatch, capsys):
    remember(began=10.0)
    asked_of(monkeypatch, answer(), answer(3))

    assert cli.main(["stop"]) == 0
    assert "it had ended before: failed after 40 s: b: torchrun failed: exit code 3\n" in capsys.readouterr().out
    assert record_store.load(RUN).status == "failed"


@pytest.mark.parametrize(
    ("a", "b", "code", "verdict"),
    [
        (answer(), None, 4, "unknown: no answer from b"),
        (answer(), answer(state="unknown"), 4, "unknown: nothing is left of it on b"),
        (answer(), answer(state="running"), 0, "running for "),
        (answer(), answer(), 0, "succeeded after "),
    ],
)
def test_the_exit_code_of_a_run_is_that_of_its_verdict(a, b, code, verdict, monkeypatch, capsys):
    remember()
    asked_of(monkeypatch, a, b)

    assert cli.main(["status", "--exit-code"]) == code
    assert capsys.readouterr().out.startswith(verdict)


def test_runs_are_listed_from_the_newest_and_as_of_when_where_nobody_can_be_asked(capsys):
    remember(RUN, status="failed", cause="b: gone", name="big", note="x")
    remember(OTHER)

    assert cli.main(["ps", "--output", "json"]) == 0
    newest, oldest = json.loads(capsys.readouterr().out)["data"]["runs"]
    assert (newest["run_id"], newest["status"], newest["as_of"]) == (OTHER, "running", newest["created"])
    assert (oldest["name"], oldest["note"], oldest["work"]) == ("big", "x", "train.py $'\\xff'")
    assert cli.main(["ps", "-n", "1"]) == 0
    shown = capsys.readouterr().out
    assert "running (as of " in shown and RUN not in shown


def test_asking_nodes_after_a_restart_remembers_no_second_run(monkeypatch, capsys):
    found = remember()
    restarted = {**PLAN, "run_id": f"{RUN}.1", "nodes": NODES}
    assert record_store.save(record_store.restarted(found, restarted)) is None
    described = {"run_id": f"{RUN}.1", "created": 1.0, "hosts": ["a", "b"], "plan": PLAN, "work": ["x"]}
    share = {"run_id": f"{RUN}.1", "run_dir": f"/r/{RUN}.1", "state": "running", "exit": None}
    runs = {
        host: {"runs": [{**share, "described": {**described, "host": host, "node_rank": rank}}]}
        for rank, host in enumerate("ab")
    }
    monkeypatch.setattr(ask, "nodes", lambda *_: {"nodes": runs, "problems": []})

    assert cli.main(["ps", "--hosts", "a,b", "--output", "json"]) == 0
    assert record_store.names() == [RUN]
    assert json.loads(capsys.readouterr().out)["data"]["runs"][0]["remembered"] is True
    path().unlink()
    assert cli.main(["ps", "--hosts", "a,b"]) == 0
    assert record_store.names() == [f"{RUN}.1"]


@pytest.mark.parametrize("said", ["../../../x", "/etc/x", "x/y", "x\0y", "-rf", ".x", "", "x" * 300, "madctl: forged"])
@pytest.mark.parametrize("field", ["run_id", "plan"])
def test_no_node_chooses_a_path_here(said, field, monkeypatch, tmp_path):
    plan = {**PLAN, "run_id": said} if field == "plan" else PLAN
    run_id = said if field == "run_id" else RUN
    described = {
        "run_id": run_id,
        "created": 1.0,
        "host": "a",
        "node_rank": 0,
        "hosts": ["a"],
        "plan": plan,
        "work": ["x"],
    }
    run = {"run_id": run_id, "run_dir": "/r", "state": "running", "exit": None, "described": described}
    monkeypatch.setattr(ask, "nodes", lambda *_: {"nodes": {"a": {"runs": [run]}}, "problems": []})

    assert cli.main(["ps", "--hosts", "a"]) == 0
    assert [found.plan["run_id"] for found in record_store.known()[0]] == ([RUN] if field == "plan" else [])
    assert {entry.name for entry in tmp_path.rglob("*") if entry.is_file()} <= {f"{RUN}.json"}


# -- broken, foreign and later records -------------------------------------------------------------------


def changed(**changes):
    def change(place):
        data = json.loads(place.read_text())
        place.write_text(json.dumps({**data, **changes}))

    return change


def replaced(text):
    return lambda place: place.write_bytes(text)


def without(key):
    return lambda place: place.write_text(
        json.dumps({k: v for k, v in json.loads(place.read_text()).items() if k != key})
    )


def node(**changes):
    return changed(plan={**PLAN, "run_id": RUN, "nodes": [{**NODES[0], **changes}, NODES[1]]})


def instead(make):
    def change(place):
        place.unlink()
        make(place)

    return change


def huge(place):
    with place.open("wb") as stream:
        stream.truncate(1 << 30)


BROKEN = {
    "empty": replaced(b""),
    "torn": replaced(b'{"run_id": "'),
    "a list": replaced(b"[]"),
    "null": replaced(b"null"),
    "bytes": replaced(b"\xff\xfe\x00"),
    "deep": replaced(b'{"plan":' + b"[" * 100000 + b"]" * 100000 + b"}"),
    "a long number": replaced(b'{"created": ' + b"9" * 5000 + b"}"),
    "huge": huge,
    "a directory": instead(os.mkdir),
    "a FIFO": instead(os.mkfifo),
    "a device": instead(lambda place: place.symlink_to("/dev/zero")),
    "a link to nothing": instead(lambda place: place.symlink_to("/nonexistent")),
    "a link to itself": instead(lambda place: place.symlink_to(place.name)),
    "of another run": changed(run_id=OTHER),
    "a path": changed(run_id="../x"),
    "of a later schema": changed(schema=2),
    "of an odd schema": changed(schema="x\x1b"),
    "no plan": without("plan"),
    "no targets": without("targets"),
    "created in words": changed(created="yesterday"),
    "created never": changed(created=float("nan")),
    "created at the end of time": changed(created=1e300),
    "work is a text": changed(work="rm -rf /"),
    "work of no words": changed(work=["x", 3, None]),
    "work of odd words": changed(work=[{"hex": "00"}]),
    "plan is a list": changed(plan=[]),
    "plan of another run": changed(plan={**PLAN, "run_id": OTHER, "nodes": NODES}),
    "plan with a path": changed(plan={**PLAN, "run_id": f"{RUN}./../../x", "nodes": NODES}),
    "nodes are no list": changed(plan={**PLAN, "run_id": RUN, "nodes": {"a": 1}}),
    "nodes of other names": node(host="c"),
    "a run directory of no text": node(run_dir=7),
    "a clock in words": node(clock_offset="late"),
    "names are no list": changed(targets={"names": "ab", "inventory": TARGETS.inventory, "sources": []}),
    "no names": changed(targets={"names": [], "inventory": TARGETS.inventory, "sources": []}),
    "no inventory": changed(targets={"names": ["a", "b"], "inventory": {}, "sources": []}),
    "sources are a text": changed(targets={"names": ["a", "b"], "inventory": TARGETS.inventory, "sources": "x"}),
    "status of no text": changed(status=["running"]),
    "code of no number": changed(exit_code="0"),
    "sent code of no tree": changed(code={**CODE, "tree": "../" * 22}),
    "sent code of odd parts": changed(code={**CODE, "branch": ["x"]}),
    "sent code of less than nothing": changed(code={**CODE, "bytes": -1}),
}


@pytest.mark.parametrize("case", BROKEN)
def test_an_invalid_record(case, capsys):
    remember("20261031-120000-cccccccc")
    remember()
    BROKEN[case](path())
    problem = refused()

    assert problem.code == "RECORD_UNREADABLE" and str(path()) in problem.message
    for words in (["status"], ["stop", RUN], ["attach", RUN], ["logs", RUN[:-2]], ["collect", RUN]):
        assert cli.main(words) == 2
        said = capsys.readouterr()
        assert said.err.startswith("madctl: ") and said.err.count("\n") == 1 and not said.out
        assert hostile.is_harmless(said.err.rstrip("\n"))
    assert cli.main(["ps"]) == 0
    said = capsys.readouterr()
    assert said.out.count("\n") == 2 and "20261031-120000-cccccccc" in said.out
    assert said.err.startswith("notice: ") and said.err.count("\n") == 1
    assert [found.run_id for found in record_store.known()[0]] == ["20261031-120000-cccccccc"]


def test_many_broken_records_are_one_notice(capsys):
    for number in range(5):
        remember(f"2026110{number}-120000-aaaaaaaa", plan=None)

    assert cli.main(["ps", "--output", "json"]) == 0
    said = capsys.readouterr()
    assert [entry["code"] for entry in json.loads(said.out)["warnings"]] == ["RECORD_UNREADABLE"]
    assert said.err.startswith("notice: 5 records cannot be read, the first: ") and said.err.count("\n") == 1


def test_a_later_madctl_may_have_more_to_say():
    found = remember(note="x", schema=1)

    assert record_store.load(RUN) == run_record.parsed(RUN, path().read_bytes())
    assert record_store.load(RUN).run_id == found.run_id


def test_records_of_before_had_no_schema():
    remember()
    without("schema")(path())

    assert record_store.load(RUN).reach().names == ("a", "b")


def test_a_file_that_cannot_be_the_record_of_a_run_is_none():
    remember()
    for name in ("-rf.json", "a b.json", "\x1b.json", ".hidden.json", "x\nmadctl: y.json"):
        (record_store.directory() / name).write_text("{")

    assert record_store.names() == [RUN] and record_store.load(None).run_id == RUN


@pytest.mark.fuzz
def test_mutated_records_are_read_or_refused(rounds, monkeypatch):
    remember()
    remember(f"{RUN}.1")
    samples = [path(run_id).read_bytes() for run_id in (RUN, f"{RUN}.1")]
    samples.append(json.dumps(json.loads(samples[0]), indent=1).encode())
    content = {}
    monkeypatch.setattr(record_store, "_content", lambda _: (content["now"], True))
    monkeypatch.setattr(record_store, "names", lambda: [RUN])
    status = {"state": "running", "container": None, "joined": 1, "processes": 1, "storage": None, "exit": None}
    monkeypatch.setattr(ask, "nodes", lambda *_: {"nodes": {"a": status, "b": status}, "problems": []})
    read = 0
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        for data in hostile.mutated(samples, rounds):
            content["now"] = data
            found, problems = record_store.known()
            assert len(found) + len(problems) == 1
            read += len(found)
            for one in found:
                one.base(), plays.groups([one.reach()])
            with contextlib.suppress(MadctlError):
                record_store.load(RUN)
            if found or read % 50 == 0:
                assert cli.main(["ps"]) == 0
                assert cli.main(["status", RUN]) == (0 if found else 2)
    assert 0 < read < rounds


# -- what cannot be written --------------------------------------------------------------------------------


def taken_by_a_file(state):
    (state / "madctl").write_text("x")


def read_only(state):
    (state / "madctl" / "runs").mkdir(parents=True)
    (state / "madctl" / "runs").chmod(0o500)


NO_PLACE = {"a file in the way": taken_by_a_file}
if os.geteuid():
    NO_PLACE["no permission"] = read_only


@pytest.mark.parametrize("case", NO_PLACE)
def test_what_cannot_be_remembered_is_not_launched(case, tmp_path, capsys, monkeypatch):
    NO_PLACE[case](tmp_path)
    monkeypatch.setattr(RunSession, "run", lambda _: pytest.fail("it was launched"))

    assert cli.main(["launch", "--hosts", "a", "--detach", "--", "train.py"]) == 2
    assert capsys.readouterr().err.endswith("set XDG_STATE_HOME to another directory [RECORD_UNWRITABLE]\n")


def test_a_full_disk_is_found_before_the_launch(capsys, monkeypatch):
    full(monkeypatch)
    monkeypatch.setattr(RunSession, "run", lambda _: pytest.fail("it was launched"))

    assert cli.main(["launch", "--hosts", "a", "--", "train.py"]) == 2
    assert "no space left on device" in capsys.readouterr().err
    assert list(record_store.directory().iterdir()) == []


def full(monkeypatch):
    """Let every file that is written here be on a disk that is full."""
    real = os.open

    def opened(place, flags, *more, **options):
        descriptor = real(place, flags, *more, **options)
        if flags & os.O_CREAT and str(place).startswith(str(record_store.directory())):
            os.close(descriptor)
            return real("/dev/full", os.O_WRONLY)
        return descriptor

    monkeypatch.setattr(os, "open", opened)


def test_where_no_record_can_be_read_nobody_says_that_there_is_none(tmp_path, capsys):
    taken_by_a_file(tmp_path)
    for command in ("ps", "stop", "status", "attach", "logs", "collect"):
        assert cli.main([command]) == 2
        said = capsys.readouterr()
        assert "not a directory" in said.err and "ps --hosts" in said.err and said.err.endswith("[RECORD_UNREADABLE]\n")


def test_a_record_is_private_and_whole(monkeypatch):
    remember()
    before = path().read_bytes()
    full(monkeypatch)
    problem = record_store.save(replace(record_store.load(RUN), status="failed", exit_code=6))

    assert problem.code == "RECORD_UNWRITABLE" and "ps --hosts a,b" in problem.remedy
    assert path().read_bytes() == before
    assert stat.S_IMODE(path().stat().st_mode) == 0o600
    assert [entry.name for entry in record_store.directory().iterdir()] == [path().name]


def test_the_code_of_a_run_is_remembered_and_its_difference_goes_with_the_record():
    remember(code=CODE, status="failed", ended=2.0)
    assert record_store.save_diff(RUN, b"") is None and not record_store.diff(RUN).exists()
    assert record_store.save_diff(RUN, b"+\xff\n") is None
    assert stat.S_IMODE(record_store.diff(RUN).stat().st_mode) == 0o600
    assert record_store.load(RUN).code == CODE

    record_store.forget(record_store.load(RUN))
    assert list(record_store.directory().iterdir()) == []


def test_a_difference_that_cannot_be_written_is_a_notice(monkeypatch):
    full(monkeypatch)

    assert record_store.save_diff(RUN, b"x").code == "RECORD_UNWRITABLE"


def test_the_difference_of_sent_code_is_written_beside_the_record():
    found, planned, _ = session()
    plan = {**planned["plan"], "code": CODE}
    found.on_event({"event": "synced", "code": CODE, "nodes": 2, "sent": 10}, b"+new\n")
    found.on_event({**planned, "plan": plan}, b"")

    assert record_store.load(RUN).code == CODE
    assert record_store.diff(RUN).read_bytes() == b"+new\n"


def test_a_node_cannot_say_which_code_was_sent():
    found, planned, _ = session()
    found.on_event({"event": "synced", "host": "a", "code": CODE, "nodes": 2, "sent": 10}, b"+forged\n")
    found.on_event(planned, b"")

    assert record_store.load(RUN).code is None and not record_store.diff(RUN).exists()


def session(detached=False):
    nodes = [{**entry, "interface": "x", "nproc_per_node": 1, "address": "x", "env": {}} for entry in NODES]
    plan = {**PLAN, "run_id": RUN, "nodes": nodes}
    view = View(["a", "b"], as_json=True, stages=())
    found = RunSession(TARGETS, {"madctl_env": {}, "madctl_work": ["x"]}, view)
    summary = {"nodes": nodes, "start_spread_seconds": 0.1, "victims": {}, "ranks_joined": 2, "duration_seconds": 1.0}
    final = {"summary": summary, "run_id": RUN, "exit_code": 0, "problems": [], "detached": detached}
    planned = {"event": "planned", "plan": plan, "warnings": [], "without_ifconfig": []}
    return found, planned, ("madctl.multinode.run_launch", "a", final)


@pytest.mark.parametrize("detached", [True, False])
def test_a_quota_in_the_middle_is_a_notice_with_the_way_back(detached, monkeypatch, capsys):
    from madctl.playbook import report

    found, planned, ended = session(detached)
    full(monkeypatch)
    found.on_event(planned, b"")
    found.on_task(*ended)
    code = report.report_run(found, "launch", as_json=True)
    said = capsys.readouterr()
    whole = json.loads(said.out)

    assert code == 0 and whole["data"]["nnodes"] == 2
    assert [entry["code"] for entry in whole["warnings"]] == ["RECORD_UNWRITABLE"]
    assert said.err.count("RECORD_UNWRITABLE") == 1 and "find the run again: madctl ps --hosts a,b" in said.err
    assert "plan" in said.err
    if detached:
        told = ["run     %s is still running", "find    madctl ps --hosts a,b", "attach  madctl attach %s"]
        assert "\n".join([*told, "stop    madctl stop %s"]).replace("%s", RUN) in said.err


@pytest.mark.parametrize("command", ["stop", "status"])
def test_a_command_that_cannot_write_what_it_learned_says_so(command, monkeypatch, capsys):
    remember()
    ended = {"outcome": "exited", "exit_code": 1, "signal": None, "stopped": False}
    known = {"container": None, "joined": 1, "processes": 0, "storage": None, "exit": ended, "left": [], "known": True}
    nodes = {host: {"state": "exited", "changed": True, **known} for host in "ab"}
    monkeypatch.setattr(ask, "nodes", lambda *_: {"nodes": nodes, "problems": []})
    full(monkeypatch)

    assert cli.main([command, RUN]) == 0
    assert capsys.readouterr().err.count("RECORD_UNWRITABLE") == 1


# -- what fails while a run is followed ------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["plan", "event"])
def test_a_failure_of_our_own_is_told_and_no_success(where, monkeypatch, capsys):
    from madctl.playbook import report

    found, planned, ended = session()
    listener = found._kept_up(found.on_task)
    listen = found._kept_up(found.on_event)

    def fail(*_):
        raise ZeroDivisionError("x\x1b")

    if where == "plan":
        monkeypatch.setattr(View, "planned", fail)
    if where == "event":
        monkeypatch.setattr(View, "on_event", fail)
    listen(planned, b"")
    listen({"event": "ready", "host": "a"}, b"")
    listener(*ended)
    code = report.report_run(found, "launch", as_json=True)
    said = capsys.readouterr()
    whole = json.loads(said.out)

    assert code == whole["exit_code"] == 1 and whole["status"] == "failed"
    assert whole["errors"][0]["code"] == "INTERNAL" and "ZeroDivisionError" in whole["errors"][0]["message"]
    assert [entry["host"] for entry in whole["data"]["nodes"]] == ["a", "b"]
    assert record_store.load(RUN).status == "succeeded"  # That is what its nodes said.
    assert "madctl: some events could not be shown: ZeroDivisionError: x\\x1b" in said.err


def test_logs_that_could_not_all_be_shown_are_no_success(monkeypatch, capsys):
    remember()

    def play(session):
        session._kept_up(session.on_event)({"event": "log", "host": 7}, b"x")
        session.final = {"exit_code": 0}

    monkeypatch.setattr(RunSession, "run", play)

    assert cli.main(["logs"]) == 1
    assert capsys.readouterr().err.startswith("madctl: some events could not be shown: KeyError")


FAILED = {"failed": True, "msg": "KeyError: 'seq'"}


@pytest.mark.parametrize("result", [FAILED, {**FAILED, "problems": [{"code": "X", "message": "y"}]}, {}])
def test_an_action_that_fails_says_nothing_of_how_the_run_ended(result, capsys):
    from madctl.playbook import report

    found, planned, _ = session()
    found.on_event(planned, b"")
    found.on_task("madctl.multinode.run_launch", "a", result)
    code = report.report_run(found, "launch", as_json=True)
    whole = json.loads(capsys.readouterr().out)

    assert code == 1
    assert record_store.load(RUN).status == "running" and record_store.load(RUN).exit_code is None
    assert whole["errors"][-1]["code"] == "INTERNAL"
    assert (
        f"the run may still be running; see madctl status {RUN} or stop it with madctl stop {RUN}"
        in whole["errors"][-1]["remedy"]
    )


@pytest.mark.parametrize("command", ["status", "collect", "stop"])
def test_an_answer_that_is_none_is_no_success(command, monkeypatch, capsys):
    from madctl.playbook import engine

    remember()
    monkeypatch.setattr(
        engine.Engine, "run", lambda self, *_: self._on_task(f"madctl.multinode.run_{command}", "a", dict(FAILED))
    )
    code = cli.main([command, RUN, "--output", "json"])
    whole = json.loads(capsys.readouterr().out)

    assert code == 1
    assert whole["status"] == "failed" and "KeyError: 'seq'" in whole["errors"][0]["message"]
    assert record_store.load(RUN).status == "running"


def test_the_end_of_a_run_is_not_overwritten_by_who_looked_before(monkeypatch):
    """Nodes that do not answer are waited for, and meanwhile the launch sees how its run ends."""
    remember(began=10.0)
    stale = record_store.load(RUN)
    remember(status="failed", exit_code=7, cause="b is lost", began=10.0, ended=20.0)

    kept, unsaved = record_store.update(replace(stale, seen=15.0))

    assert (kept.status, kept.exit_code, unsaved) == ("failed", 7, None)
    assert record_store.load(RUN).status == "failed"


def test_a_run_whose_inventory_is_gone_has_its_verdict_still(monkeypatch, capsys, tmp_path):
    remember(status="failed", exit_code=6, cause="b rank 1: exit code 1", began=10.0, ended=20.0)
    record = record_store.load(RUN)
    gone = {**record.targets, "sources": [str(tmp_path / "gone.yml")]}
    record_store.save(replace(record, targets=gone))

    assert cli.main(["status"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("failed after 10 s: b rank 1: exit code 1\n")
    assert "is gone" in said.err and "[NODE_SILENT]" in said.err
    record_store.save(replace(record, targets=gone, status="running", exit_code=None, ended=None, cause=None))
    assert cli.main(["status"]) == 4
    assert "[NODE_SILENT]" in capsys.readouterr().err


def test_a_node_that_does_not_answer_is_a_row_and_in_the_first_line(monkeypatch, capsys):
    remember(began=10.0)
    asked_of(monkeypatch, answer(state="running"), None)

    cli.main(["status"])
    first, *rows = capsys.readouterr().out.splitlines()
    assert first.startswith("running for ") and first.endswith("; no answer from b")
    assert [row.split()[:3] for row in rows if row.startswith("b ")] == [["b", "no", "answer"]]


def test_no_two_threads_write_the_same_file_meanwhile():
    """Of the same run: one follows it, another asks for its state."""
    barrier = threading.Barrier(2)

    def own(_):
        barrier.wait(60)
        return record_store._own()

    with ThreadPoolExecutor(2) as pool:
        assert len(set(pool.map(own, range(2)))) == 2

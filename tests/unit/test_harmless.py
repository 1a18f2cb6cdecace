# SPDX-License-Identifier: Apache-2.0
"""Whatever a node says, and wherever it is shown: no control character, and no line that seems to be madctl's."""

import io
import json
import re
import sys
import types
from dataclasses import replace

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import catalog, codes
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import find_run
from ansible_collections.madctl.multinode.plugins.module_utils._follow import run_outcome
from ansible_collections.madctl.multinode.plugins.module_utils._request.hostlist import Host
from ansible_collections.madctl.multinode.plugins.module_utils._show import plan_text, stage_table
from ansible_collections.madctl.multinode.plugins.module_utils._ways.local import Local
from ansible_collections.madctl.multinode.plugins.plugin_utils._run import results
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import playbook_screen
from madctl import cli
from madctl.errors import Problem
from madctl.nodes.inventory import Targets, build
from madctl.playbook import ask, report
from madctl.playbook.session import RunSession, Session
from madctl.records import record_store
from madctl.result import Result, to_json
from madctl.screen import terminal
from madctl.screen.problems import print_problems
from madctl.screen.view import View
from tests import hostile
from tests.unit.problem_codes import codes_in_source

TEXTS = [
    *hostile.LANGUAGES.values(),
    "madctl: node1: forged [FORGED]",
    "\x7f\x00\x85\udc80\ud800",
    "a\u2029\ufeff\u200e",
]
RUN = "20261101-120000-aaaaaaaa"


@pytest.fixture(params=TEXTS, ids=[*hostile.LANGUAGES, "a line", "characters", "marks"])
def text(request):
    return request.param


@pytest.fixture
def shown(capsys, monkeypatch, tmp_path):
    """All that is printed, checked line by line as it is taken."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    def take():
        return checked("".join(capsys.readouterr()).rstrip("\n").split("\n"))

    return take


def checked(lines):
    """Return lines, if there are any and each may go to a terminal."""
    assert lines != [""]
    for line in lines:
        assert hostile.is_harmless(line.replace("\t", "")), line
        assert not line.startswith(("madctl: node1: forged", "madctl: forged")), line
    return lines


# -- events, at both doors -----------------------------------------------------------------------------


def events(text):
    """Return every kind of event, with a text in every field that a node can fill with one."""
    node = {"host": "node1"}
    yield {**node, "event": "log", "log": f"rank-{text}.out", "offset": 0}, f"{text}\n".encode("utf-8", "surrogatepass")
    yield {**node, "event": "log", "log": text, "offset": 0}, b"no newline"
    yield {**node, "event": "skipped", "log": f"rank-{text}.out", "size": 1 << 30}, b""
    yield {**node, "event": "lost", "message": text}, b""
    yield {**node, "event": "log_degraded", "log": text}, b""
    yield {"event": "restart", "attempt": text, "of": text, "replaced": {text: text}, "plan": {"run_id": text}}, b""
    for kind in ("ready", "started", "joined", "stopping", "exit", "suspect", "back", "no_dump", text):
        yield {**node, "event": kind, "rank": text, "boot_id": text, "outcome": text}, b""
    yield {**node, "event": "idle", "seconds": 5.0}, b""


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("as_json", [True, False])
def test_events_on_the_screen(text, terminal, as_json, monkeypatch):
    both = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stdout", both)
    monkeypatch.setattr(sys, "stderr", both)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    view = View(["node1", text], as_json=as_json, stages=())
    for event, payload in events(text):
        view.on_event(event, payload)
    view.errors = [Problem("RANK_FAILED", text, "node1", text, rank=0)]
    view.finish(
        text, {"nodes": [{"run_dir": text}], "victims": {"node1": 2}, "world_size": text}, True, f"{text}\n{text}"
    )
    view.results([f"node1  {text}"], text)
    view.still_running(text, is_forgotten=True)
    view.notice(Problem("X", text, text, text))

    # The only colours are our own, and those of whole words that begin a line.
    shown = re.sub(r"^\x1b\[\d+m(madctl:|notice:|done    [a-z ]+)\x1b\[0m", r"\1", both.getvalue(), flags=re.M)
    assert terminal == (shown != both.getvalue())
    checked(shown.rstrip("\n").split("\n"))


@pytest.fixture
def told(monkeypatch):
    """All lines that a playbook shows, with the callback that draws and without it."""
    said = []
    monkeypatch.setattr(playbook_screen, "send", lambda event: event["event"] != "text")
    monkeypatch.setattr(playbook_screen.Display, "display", lambda _, piece: said.extend(piece.split("\n")))
    return said


def test_events_in_a_playbook(text, told):
    screen = playbook_screen.Screen({"shape": "script", "nodes": [{"host": "node1"}], "world_size": 1, "run_id": text})
    for event, payload in events(text):
        screen.on_event(event, payload)
    screen.flush()
    problems = [codes.problem("RANK_FAILED", "node1", text, text)]
    nodes = [{"run_dir": text}]
    summary = {"victims": {"node1": 1}, "ranks_joined": text, "duration_seconds": 1, "nodes": nodes}
    screen.done({"summary": summary, "run_id": text, "detached": False, "problems": problems})

    checked(told)


def test_the_table_of_a_playbook(text):
    table = stage_table.Table()
    table.begin([{"host": text, "nproc_per_node": text}])
    for event, _ in events(text):
        table.take({**event, "host": text})

    for line in table.lines((200, 50)):
        assert hostile.is_harmless(line)


# -- problems -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", sorted(codes_in_source() | set(catalog.CHECK_OF)))
def test_problems_of_every_code(code, shown, told):
    for text in TEXTS:
        problem = codes.problem(code, text, text, text)
        raw = Problem(code, text, text, text)
        print_problems([raw], [raw])
        assert len(shown()) == 2
        playbook_screen.problems([problem, {**problem, "message": "other"}])
        assert checked(told) and len(told) == 2
        told.clear()
        message = results.judged({}, [problem, {**problem, "message": "other"}], {}, ["node1"])["msg"]
        assert len(checked(message.split("\n"))) == 2


NAMED = {"run_id": "20260102-030405-abcdef01"}
FAILURES = {
    "start_failed": lambda text: run_outcome.start_failure("node1", {"event": "start_failed", "message": text}),
    "exec_failed": lambda text: run_outcome.start_failure("node1", {"event": "exec_failed", "argv0": text, "errno": 2}),
    "rank_exit": lambda text: run_outcome.rank_failure(
        "node1", NAMED, {"event": "rank_exit", "rank": text, "exit_code": text, "signal": None}
    ),
    "models": lambda text: run_outcome.model_failure(
        "node1", NAMED, {"failed": [text], "stopping": False, "exit_code": 1}
    ),
    "silence": lambda text: find_run.silence(Local("node1", "python3"), text),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_failures_that_a_node_describes(failure, text):
    found = FAILURES[failure](text)

    assert hostile.is_harmless(found["message"]) and hostile.is_harmless(found["remedy"])


def test_json_is_harmless_and_exact(text, shown):
    problem = Problem("X", text, text, text)
    whole = to_json(Result(text, "failed", 1, text, {text: [text]}, [problem], [problem]))

    assert hostile.is_harmless(whole)
    assert json.loads(whole)["data"] == {text: [text]}
    assert json.loads(whole)["errors"][0]["message"] == text


@pytest.mark.parametrize("number", [float("inf"), float("nan"), 1e999])
def test_json_has_no_numbers_that_json_does_not_know(number):
    whole = to_json(Result("x", "failed", 1, None, {"a": [{"b": number}, 1.5]}))

    assert json.loads(whole, parse_constant=pytest.fail)["data"] == {"a": [{"b": None}, 1.5]}


# -- commands --------------------------------------------------------------------------------------------

PLAN = {"runner": "torchrun", "shape": "script", "master_addr": "a", "master_port": 1, "nnodes": 1, "world_size": 1}


def remembered(text="x"):
    targets = Targets(("node1",), build([Host("node1")], None, None, ""))
    node = {"host": "node1", "run_dir": text, "interface": text, "node_rank": 0}
    record = record_store.create(
        {**PLAN, "run_id": RUN, "nodes": [node]}, targets, [text.encode("utf-8", "replace").decode()]
    )
    assert record_store.save(replace(record, status=text, cause=text, exit_code=0)) is None
    return record


def ending(text):
    return {"outcome": "exited", "exit_code": 1, "signal": None, "stopped": False, "reason": text, "trouble": text}


def answers(text):
    """Return what nodes might answer to each command."""
    problem = Problem("NODE_SILENT", text, "node1", text)
    status = {
        "state": text,
        "container": text,
        "joined": 1,
        "processes": text,
        "storage": text,
        "exit": ending(text),
        "error": text,
    }
    described = {"run_id": text, "created": 1.0, "host": "node1", "node_rank": 0, "hosts": ["node1"], "plan": PLAN}
    run = {"run_id": text, "run_dir": text, "state": text, "exit": None, "described": {**described, "work": [text]}}
    gone = {"removed": [{"run_id": text, "bytes": 1}], "programs": [{"name": text, "bytes": 1}], "held": []}
    gone["stuck"] = [{"path": text, "reason": text}]
    return {
        "status": {"nodes": {"node1": status}, "problems": [problem]},
        "collect": {"nodes": {"node1": text}, "problems": [problem]},
        "stop": {"nodes": {"node1": {"left": [text], "changed": True, "known": True}}, "problems": [problem]},
        "ps": {"nodes": {"node1": {"runs": [run]}}, "problems": [problem]},
        "gc": {"nodes": {"node1": gone}, "problems": [problem]},
    }


COMMANDS = {
    "status": ["status"],
    "collect": ["collect"],
    "stop": ["stop"],
    "ps": ["ps", "--hosts", "node1"],
    "gc": ["gc", "--hosts", "node1", "--dry-run"],
}


@pytest.mark.parametrize("output", ["text", "json"])
@pytest.mark.parametrize("command", COMMANDS)
def test_commands_that_ask_nodes(command, output, text, shown, monkeypatch):
    remembered()
    monkeypatch.setattr(ask, "nodes", lambda *_: answers(text)[command])
    code = cli.main([*COMMANDS[command], "--output", output])

    assert code in (4, 9)
    lines = shown()
    assert not [line for line in lines if "INTERNAL" in line]


@pytest.mark.parametrize("output", ["text", "json"])
def test_what_is_remembered(output, text, shown):
    remembered(text)

    assert cli.main(["ps", "--output", output]) == 0
    assert len(shown()) == (2 if output == "text" else 1)


@pytest.mark.parametrize("output", ["text", "json"])
def test_the_table_of_a_check(output, text, shown):
    view = View(["node1"], as_json=output == "json", stages=())
    view.errors = view.warnings = [Problem("PORT_IN_USE", text, "node1", text)]
    session = Session(None, {}, view)
    session.verdict = {
        "checks": {"node1": dict.fromkeys(catalog.NAMES, text)},
        "candidates": {"node1": [{"interface": text, "address": text, "verdict": text}]},
    }
    session.judged = {"fingerprints": {text: text}}
    options = types.SimpleNamespace(output=output, explain="network")
    report.report_check(session, options)
    shown()


@pytest.mark.parametrize("output", ["text", "json"])
def test_a_report_of_a_run(output, text, shown):
    node = {"host": "node1", "node_rank": 0, "address": text, "interface": text, "nproc_per_node": 1, "run_dir": text}
    view = View(["node1"], as_json=output == "json", stages=())
    session = RunSession(None, {"madctl_env": {}, "madctl_work": []}, view)
    session.nodes = Targets(("node1",), build([Host("node1")], None, None, ""))
    plan = {**PLAN, "run_id": RUN, "nodes": [{**node, "env": {}}]}
    warning = {"code": "W", "host": None, "message": text}
    session.on_event({"event": "planned", "plan": plan, "warnings": [warning], "without_ifconfig": []}, b"")
    problem = {"code": "RANK_FAILED", "host": "node1", "message": text, "remedy": text, "error": f"{text}\n{text}"}
    models = [{"model": text, "performance": text, "status": text}]
    summary = {"nodes": [{**node, "exit_code": 1, "models": models}], "start_spread_seconds": 0.0, "victims": {}}
    final = {"summary": summary, "run_id": RUN, "exit_code": 6, "problems": [problem], "detached": False}
    session.on_task("madctl.multinode.run_launch", "node1", final)

    assert report.report_run(session, "launch", output == "json") == 6
    shown()


def test_a_plan_is_shown_in_lines_of_its_own(text, shown, told):
    node = {"host": "node1", "node_rank": 0, "address": text, "interface": text, "nproc_per_node": 1, "cwd": text}
    node.update(env={text: text}, argv=[text, text], rank_argv=[text])
    terminal.say(*plan_text.whole({"nodes": [node]}, {}))
    assert len(shown()) == 8
    plan = {"run_id": text, "nodes": [node], "world_size": 1, "master_addr": text, "master_port": text}
    playbook_screen.planned(plan, [codes.problem("X", None, text)])
    playbook_screen.say(plan_text.whole(plan, {text: text}))
    checked(told)
    checked(playbook_screen.difference(plan)["after"].rstrip("\n").split("\n"))


def test_logs_of_one_host(text, shown, monkeypatch):
    remembered()

    def play(session):
        for event, payload in events(text):
            session.view.on_event(event, payload)
        session.final = {}
        session.view.errors = [Problem("NODE_SILENT", text, "node1", text)]

    monkeypatch.setattr(RunSession, "run", play)

    assert cli.main(["logs"]) == 4
    shown()


@pytest.mark.parametrize("kind", ["restart", "stopping", "idle"])
def test_a_node_cannot_tell_of_the_whole_run(kind, told, monkeypatch, shown):
    forged = {
        "event": kind,
        "host": "node1",
        "attempt": 1,
        "of": 2,
        "seconds": 5,
        "plan": {**PLAN, "run_id": "x", "nodes": []},
    }
    record = remembered()
    session = RunSession(None, {}, View(["node1"], as_json=False, stages=()), record)
    session.on_event(forged, b"")
    screen = playbook_screen.Screen({"shape": "script", "nodes": [{"host": "node1"}], "world_size": 1, "run_id": RUN})
    screen.on_event(forged, b"")

    assert session.record == record and not told
    session.on_event({"event": "ready", "host": "node1"}, b"")
    assert shown() == ["arm     1 node ready"]

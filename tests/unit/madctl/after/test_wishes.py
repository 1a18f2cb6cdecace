# SPDX-License-Identifier: Apache-2.0
"""What is done after the end changes nothing about how a run ended."""

import json
import os
import signal
from argparse import Namespace
from pathlib import Path

import pytest

from madctl import cli
from madctl.after import command, notification, wishes
from madctl.after.wishes import Wishes
from madctl.errors import ExitCode, Problem, RunError, UsageError, refused
from madctl.result import Result
from tests.unit.http_answers import served

RUN = "20261101-120000-aaaaaaaa"
FAILED = Result(
    *("launch", "failed", 6, RUN),
    {"duration_seconds": 43.2},
    [Problem("RANK_FAILED", "rank 3 failed: exit code 1", "gpu02", rank=3)],
)


@pytest.mark.parametrize(
    ("result", "name", "text"),
    [
        (FAILED, "big", f"madctl: big ({RUN}) failed after 43 s: gpu02 rank 3: exit code 1"),
        (FAILED, None, f"madctl: {RUN} failed after 43 s: gpu02 rank 3: exit code 1"),
        (
            Result("launch", "succeeded", 0, RUN, {"duration_seconds": 3.21}),
            "big",
            f"madctl: big ({RUN}) succeeded after 3.2 s",
        ),
        (
            Result("launch", "failed", 3, None, None, [Problem("PORT_IN_USE", "x", "a")]),
            "big",
            "madctl: big failed: a: x",
        ),
        (Result("launch", "failed", 4, None, None, [Problem("X", "away")]), None, "madctl: launch failed: away"),
        (Result("attach", "interrupted", 130, RUN, {}, ()), None, f"madctl: {RUN} interrupted"),
        (
            Result("launch", "failed", 8, RUN, {}, [Problem("TIMED_OUT", "too long")]),
            None,
            f"madctl: {RUN} timed out: too long",
        ),
    ],
)
def test_a_run_in_one_line(result, name, text):
    assert wishes.summary(result, name) == text


def test_each_failure_is_a_problem_and_hides_no_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(notification, "post", lambda *_: "hooks.example.org: it answered 404")
    found = wishes.carry_out(Wishes("touch done; exit 3", "https://hooks.example.org/T"), FAILED)

    assert [(one.code, one.message) for one in found] == [
        ("NOTIFY_FAILED", "--notify: hooks.example.org: it answered 404"),
        ("ON_END_FAILED", "--on-end: the command ended with exit code 3"),
    ]
    assert Path("done").exists()
    assert wishes.carry_out(wishes.NONE, FAILED) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_what_is_being_done_and_nothing_else(number, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(number)
    (found,) = wishes.carry_out(Wishes(f"echo $$ > pid; kill -{int(number)} $PPID; exec sleep 600"), FAILED)

    assert (found.code, found.message) == ("ON_END_FAILED", "--on-end: interrupted")
    assert signal.getsignal(number) == before
    assert not Path(f"/proc/{Path('pid').read_text().strip()}").exists()


def test_what_comes_after_a_signal_is_not_begun(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(notification, "post", lambda *_: os.kill(os.getpid(), signal.SIGINT))
    found = wishes.carry_out(Wishes("touch begun", "https://h/x"), FAILED)

    assert [(one.code, one.message) for one in found] == [("ON_END_FAILED", "--on-end: interrupted")]
    assert not Path("begun").exists()


def test_a_run_that_continues_has_not_ended():
    found = wishes.not_yet(Wishes("true", "https://h/T0KEN"), RUN)

    assert [str(one) for one in found] == [
        f"--notify: the run continues, so it has to wait; madctl attach {RUN} --notify … [NOTIFY_FAILED]",
        f"--on-end: the run continues, so it has to wait; madctl attach {RUN} --on-end … [ON_END_FAILED]",
    ]
    assert wishes.not_yet(wishes.NONE, RUN) == []


# -- the options -----------------------------------------------------------------------------------------

ADDRESSES = {
    "https://hooks.slack.com/services/T0/B0/swordfish": True,
    "http://127.0.0.1:8080/swordfish": True,
    "http://[::1]:8080/swordfish?a=b#c": True,
    "": False,
    "swordfish": False,
    "//hooks.example.org/swordfish": False,
    "ftp://hooks.example.org/swordfish": False,
    "file:///swordfish": False,
    "https:///swordfish": False,
    "https://swordfish:swordfish@hooks.example.org/": False,
    "https://swordfish@hooks.example.org/": False,
    "https://h:99999/swordfish": False,
    "https://h:0/swordfish": False,
    "https://h:x/swordfish": False,
    "https://[::1/swordfish": False,
    "https://h/sword fish\r\nX: swordfish": False,
    "https://h/swordfish\x1b[2J": False,
    "https://hü.example.org/swordfish": False,
    "https://h/" + "swordfish" * 1000: False,
}


@pytest.mark.parametrize(("address", "is_taken"), ADDRESSES.items())
@pytest.mark.parametrize("command", ["launch", "attach"])
def test_an_address_is_refused_at_once_and_never_told(address, is_taken, command, one_parser):
    if is_taken:
        assert cli.parsed([command, f"--notify={address}"]).notify == address
        return
    with pytest.raises(UsageError) as caught:
        cli.parsed([command, f"--notify={address}"])
    (problem,) = caught.value.problems
    assert problem.code == "USAGE" and "--notify takes an http or https address" in problem.message
    assert "swordfish" not in str(problem)


@pytest.mark.parametrize("text", ["", "  ", "\n"])
def test_no_command_is_refused(text, one_parser):
    with pytest.raises(UsageError):
        cli.parsed(["launch", f"--on-end={text}"])


@pytest.mark.parametrize("on", ["ssh", "slurm", "k8s"])
@pytest.mark.parametrize("option", [["--on-end", "true"], ["--notify", "https://h/T0KEN"]])
def test_nobody_does_it_for_a_run_that_is_let_go(on, option, one_parser, capsys):
    assert cli.main(["launch", "--on", on, "--detach", *option, "train.py"]) == 2
    said = capsys.readouterr().err

    assert f"{option[0]} needs a process that follows the run to its end; leave out --detach, or give" in said
    assert "T0KEN" not in said


# -- a launch that ends with an error instead of a report --------------------------------------------------

ERRORS = {
    "a scheduler that is away": (RunError(ExitCode.UNREACHABLE, Problem("SCHEDULER_UNREACHABLE", "swordfish")), [], 1),
    "a dry run": (RunError(ExitCode.UNREACHABLE, Problem("SCHEDULER_UNREACHABLE", "x")), ["--dry-run"], 0),
    "a typo": (refused("USAGE", "x"), [], 0),
}


@pytest.mark.parametrize("case", ERRORS)
def test_a_launch_that_fails_without_a_report(case, monkeypatch, capsys, one_parser):
    error, more, times = ERRORS[case]

    def launched(options):
        options.hidden = ("swordfish",)
        raise error

    monkeypatch.setattr("madctl.commands.launch._launched", launched)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with served(lambda _: (200, b"")) as server:
        words = ["--name", "big", "--notify", f"http://127.0.0.1:{server.server_port}/x", "--on-end", "exit 3", *more]
        code = cli.main(["launch", *words, "train.py"])

    assert code == error.exit_code
    assert len(server.asked) == times == capsys.readouterr().err.count("[ON_END_FAILED]")
    if times:
        sent = json.loads(server.asked[0][2])
        assert (sent["text"], sent["result"]["exit_code"]) == ("madctl: big failed: ***", 4)
        assert b"swordfish" not in server.asked[0][2]


def test_a_namespace_without_the_options_wants_nothing():
    assert wishes.of(Namespace()) == wishes.NONE and command.SECONDS == 60 and notification.SECONDS == 10

# SPDX-License-Identifier: Apache-2.0
"""Which words of a command line are madctl's, and which are the work."""

import shlex

import pytest

from madctl import cli
from madctl.errors import UsageError


def parsed(line):
    return cli.parsed(shlex.split(line))


def refused(line):
    with pytest.raises(UsageError) as caught:
        parsed(line)
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize(
    ("line", "work"),
    [
        ("launch train.py", ["train.py"]),
        ("launch --hosts a,b train.py --lr 1", ["train.py", "--lr", "1"]),
        ("launch --hosts=a,b train.py", ["train.py"]),
        ("launch --dry-run -i hosts.yml -ihosts2.yml train.py", ["train.py"]),
        ("launch --mpi-args '--x y' --runner mpirun a.out", ["a.out"]),
        ("launch --mpi-args --x --runner mpirun a.out", ["a.out"]),
        ("launch -- x --mpi-args --y", ["x", "--mpi-args", "--y"]),
        ("launch --replace-containers --tags a b -- --live-output", ["--live-output"]),
        ("launch --tags a b", None),
        ("launch --hosts a -- train.py -- x", ["train.py", "--", "x"]),
        ("launch train.py -- x", ["train.py", "--", "x"]),
        ("launch -- -m pkg", ["-m", "pkg"]),
        ("launch --hosts a -", ["-"]),
        ("launch --", []),
        ("check --hosts a", None),
        ("check --hosts a train.py", ["train.py"]),
        ("status 2026", None),
        ("lab exec node1 -- ls -l", ["ls", "-l"]),
        ("lab exec node1 ls -l", ["ls", "-l"]),
        ("lab exec --name x node1 ls -- x", ["ls", "--", "x"]),
        ("lab exec node1 --name x -- ls", ["ls"]),
        ("lab exec node1", None),
        ("lab slurm sinfo -a", ["sinfo", "-a"]),
        ("lab slurm --name x -- sinfo", ["sinfo"]),
        ("lab up -n 3", None),
    ],
)
def test_the_work_begins_with_the_first_word_that_is_not_an_option(line, work):
    options = parsed(line)

    assert (options.work, options.notice) == (work, None)


def test_an_option_after_the_work_goes_to_it_with_a_notice():
    options = parsed("launch --hosts a train.py --timeout 5 --lr=1 --dry-run --timeout 6")

    assert options.work == ["train.py", "--timeout", "5", "--lr=1", "--dry-run", "--timeout", "6"]
    assert (options.timeout, options.dry_run) == (None, False)
    assert str(options.notice) == (
        "--timeout, --dry-run go to train.py; write options of madctl before train.py [OPTION_PASSED_ON]"
    )


@pytest.mark.parametrize("option", ["--hosts", "-i", "--lab", "--user"])
def test_an_option_that_selects_nodes_is_not_silently_passed_on(option):
    found = refused(f"launch train.py {option} x")

    assert found.message == f"{option} after train.py would go to the job"
    assert parsed(f"launch -- train.py {option} x").work == ["train.py", option, "x"]
    assert parsed(f"launch train.py -- {option} x").work == ["train.py", "--", option, "x"]


@pytest.mark.parametrize(
    ("line", "message", "remedy"),
    [
        ("lanch train.py", "unknown command 'lanch'", "did you mean launch?"),
        ("xyzzy", "unknown command 'xyzzy'", "see madctl --help"),
        ("check --host a train.py", "unknown option --host", "did you mean --hosts?"),
        ("launch --nproc-per-nod=2 train.py", "unknown option --nproc-per-nod", "did you mean --nproc-per-node?"),
        ("launch --zzz", "unknown option --zzz", "see madctl launch --help"),
        ("status --ouput json", "unknown option --ouput", "did you mean --output?"),
        ("status a b", "unexpected argument 'b'", "see madctl status --help"),
        ("lab exec -- ls", "the following arguments are required: HOST", "see madctl lab exec --help"),
        ("status --output jsn", "--output takes text or json, not 'jsn'", "did you mean json?"),
        ("launch --runner torchrn x", "--runner takes torchrun or mpirun, not 'torchrn'", "did you mean torchrun?"),
        ("check --explain netwrk", "--explain takes network, not 'netwrk'", "did you mean network?"),
        ("lab satus", "unknown command 'satus'", "did you mean status?"),
        ("lab up --nam x", "unknown option --nam", "did you mean --name?"),
        ("launch --hosts", "argument --hosts: expected one argument", "see madctl launch --help"),
    ],
)
def test_what_is_unknown_is_refused_with_what_was_probably_meant(line, message, remedy):
    found = refused(line)

    assert (found.code, found.message, found.remedy) == ("USAGE", message, remedy)


@pytest.mark.parametrize(
    ("line", "is_json"),
    [
        ("launch --output json --runner x y", True),
        ("launch --output=json -- --runner x", True),
        ("launch x --output json", False),
        ("launch -- x --output json", False),
        ("launch x --output json --hosts a", True),
        ("status --output json a b", True),
    ],
)
def test_json_is_asked_of_madctl_and_not_of_the_work(line, is_json):
    assert cli.wants_json(shlex.split(line)) == is_json


def test_a_misspelled_check_is_recognised():
    found = refused("launch --skip storag train.py")

    assert found.message.startswith("--skip takes one of ") and found.message.endswith(", not 'storag'")
    assert found.remedy == "did you mean storage?"


@pytest.mark.parametrize(
    ("line", "first"),
    [
        ("help", "usage: madctl"),
        ("help help", "usage: madctl"),
        ("help launch", "usage: madctl launch"),
        ("help lab up", None),
    ],
)
def test_help_of_a_command(line, first, capsys):
    with pytest.raises(SystemExit) as end:
        parsed(line)

    assert end.value.code == 0
    assert capsys.readouterr().out.startswith(first or "usage: madctl lab up")


@pytest.mark.parametrize("option", ["-V", "--version"])
def test_the_version(option, capsys):
    assert cli.main([option]) == 0
    assert capsys.readouterr().out.startswith("madctl ")


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("1.5", 1.5), ("10m", 600), ("1h30m", 5400), ("1d", 86400)]
)
def test_durations(text, seconds):
    assert parsed(f"launch --timeout {text} --idle-timeout {text} --start-timeout {text} x").timeout == seconds


@pytest.mark.parametrize(
    "text", ["10x", "m", "1h 30m", "-5", "1e10", "nan", "٣m", "٣", "1_0", "1h30", "", "9" * 400, "999999999d"]
)
def test_what_is_not_a_duration(text):
    with pytest.raises(UsageError):
        cli.parsed(["launch", f"--timeout={text}", "x"])


@pytest.mark.parametrize(("text", "days"), [("7", 7), ("0", 0), ("12h", 0.5), ("2d", 2)])
def test_days_are_durations_too(text, days):
    assert parsed(f"gc --days {text}").days == days


@pytest.mark.parametrize("line", ["help launch ran.py", "help check x", "help lab down x", "help stop -x"])
def test_help_never_starts_anything(line, capsys):
    assert cli.main(line.split()) == 0
    assert capsys.readouterr().out.startswith("usage: madctl " + line.split()[1])

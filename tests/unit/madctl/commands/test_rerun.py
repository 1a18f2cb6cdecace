# SPDX-License-Identifier: Apache-2.0
"""A run is launched again from what its record holds, and refused in one line where that is not possible."""

import json
import os
import shlex

import pytest

from madctl import cli
from madctl.commands import launch
from madctl.errors import refused
from madctl.records import record_store
from tests.unit.madctl.remembered_runs import PLAN, RUN, asked

NODES = [{"host": host, "node_rank": rank, "run_dir": "/r"} for rank, host in enumerate(("a", "b"))]
KEEP = launch._typed


@pytest.fixture
def launched(own_records, tmp_path, monkeypatch):
    """Remember what was typed instead of launching it; return all that was launched again."""
    monkeypatch.chdir(tmp_path)
    found = []

    def run(options):
        options.typed = KEEP(options)
        found.append(options)
        return 0

    monkeypatch.setattr(launch, "run", run)
    return found


def remember(line, name=None, **changes):
    options = cli.parsed(["launch", *shlex.split(line)])
    created = record_store.create({**PLAN, "run_id": RUN, "nodes": NODES}, asked("a", "b"), ["x"], name=name)
    record_store.save(created)
    path = record_store.directory() / f"{RUN}.json"
    typed = KEEP(options)
    path.write_text(json.dumps({**json.loads(path.read_text()), "typed": typed and {**typed, **changes}}))


def test_it_is_launched_where_it_was_with_changes_and_its_name(launched, tmp_path, monkeypatch, capsys):
    remember("--hosts a,b --timeout 1h --name big train.py --lr 1", name="big")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    assert cli.main(["rerun", "big", "--nproc-per-node", "4", "--timeout", "2h", "--", "--lr", "2"]) == 0
    (options,) = launched
    assert (options.hosts, options.timeout, options.nproc_per_node) == ("a,b", 7200.0, "4")
    assert (options.name, options.work, options.command) == ("big", ["train.py", "--lr", "2"], "launch")
    assert (os.getcwd(), options.typed["directory"]) == (str(tmp_path), str(tmp_path))
    line = "madctl launch --hosts a,b --name big --nproc-per-node 4 --timeout 2h -- train.py --lr 2"
    assert capsys.readouterr().err == f"rerun   {line}\n"


def test_a_name_that_was_not_typed_is_kept_and_can_be_changed(launched):
    remember("train.py", name="big")

    for words in ([], ["--name", "other"], ["--without", "name"], ["-1", "--without", "name"]):
        assert cli.main(["rerun", *words]) == 0
    assert [options.name for options in launched] == ["big", "other", None, None]


@pytest.mark.parametrize("words", [["--without", "timeout"], ["--without", "--timeout"], ["--without=--timeout"]])
def test_an_option_is_left_out(launched, words):
    remember("--timeout 1h --detach train.py")

    assert cli.main(["rerun", *words]) == 0
    assert (launched[0].timeout, launched[0].detach) == (None, True)


def test_a_variable_comes_from_here_and_that_is_told(launched, monkeypatch, capsys):
    remember("--env LR=swordfish --env SEED train.py")
    monkeypatch.setenv("LR", "0.2")

    assert cli.main(["rerun"]) == 0
    assert launched[0].env == ["LR", "SEED"]
    told = str(launched[0].notice)
    assert told.startswith("values of --env are not recorded: LR is taken from this environment") and "0.2" not in told
    assert cli.main(["rerun", "--env", "LR=0.3"]) == 0
    assert (launched[1].env, launched[1].notice) == (["SEED", "LR=0.3"], None)
    said = capsys.readouterr().err
    assert "swordfish" not in said and "0.3" not in said, "what is typed now is not shown either"


REFUSED = {
    "a variable": (
        "--env LR=1 --env B=2 t.py",
        [],
        f"LR, B is not set here; madctl rerun {RUN} --env LR=VALUE --env B=VALUE [ENV_UNSET]",
    ),
    "an address": ("--notify https://h/x t.py", [], "add --notify …, or --without notify [VALUE_NOT_KEPT]"),
    "two of them": ("--notify https://h/x --env B=2 t.py", ["--env", "B=3"], "--without notify [VALUE_NOT_KEPT]"),
    "a context": ("--tags a --additional-context '{}'", [], "add --additional-context …"),
    "nothing to leave out": ("--timeout 1h t.py", ["--without", "timeuot"], "did you mean --timeout? [USAGE]"),
    "a wrong value": ("t.py", ["--timeout", "x"], "[USAGE]"),
    "a wrong option": ("t.py", ["--timeuot", "1"], "did you mean --timeout? [USAGE]"),
    "a script": ("t.py", [RUN, "other.py"], "unexpected argument 'other.py'"),
    "another run": ("t.py", ["nosuch"], "[RUN_UNKNOWN]"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case, launched, monkeypatch, capsys):
    line, words, end = REFUSED[case]
    for name in ("LR", "B"):
        monkeypatch.delenv(name, raising=False)
    remember(line)

    assert cli.main(["rerun", *words]) == 2
    said = capsys.readouterr().err
    assert end in said and len(said.splitlines()) == 1 and launched == []


def test_a_run_that_nobody_typed(launched, capsys):
    record_store.save(record_store.create({**PLAN, "run_id": RUN, "nodes": NODES}, asked("a", "b"), ["x"]))

    assert cli.main(["rerun"]) == 2
    assert capsys.readouterr().err.endswith("launch it with madctl launch [RERUN_IMPOSSIBLE]\n")


def test_a_directory_that_is_gone(launched, tmp_path, capsys):
    remember("t.py", directory=str(tmp_path / "gone"))

    assert cli.main(["rerun"]) == 2
    said = capsys.readouterr().err
    assert f"was launched in {tmp_path}/gone: no such file or directory" in said and "[RERUN_IMPOSSIBLE]" in said


def test_what_another_user_wrote_is_never_launched(launched, capsys):
    remember("--on-end 'touch CANARY' t.py")
    (record_store.directory() / f"{RUN}.json").chmod(0o622)

    assert cli.main(["rerun"]) == 2 and launched == []
    assert "[RERUN_IMPOSSIBLE]" in capsys.readouterr().err


BROKEN = [
    {"options": None},
    {"options": [[]]},
    {"options": [["--timeout", 3]]},
    {"options": [[["--timeout"]]]},
    {"work": "train.py"},
    {"work": [3]},
    {"withheld": ["x"]},
    {"withheld": 3},
    {"directory": None},
    {"directory": {"base64": 3}},
]


@pytest.mark.parametrize("changes", BROKEN, ids=map(str, BROKEN))
def test_a_record_that_is_broken(changes, launched, capsys):
    remember("t.py", **changes)

    assert cli.main(["rerun"]) == 2 and launched == []
    assert "its typed is invalid" in capsys.readouterr().err


def test_settings_of_the_directory_are_told_as_a_launch_tells_them(launched, tmp_path, monkeypatch, capsys):
    remember("train.py")
    (tmp_path / "madctl.toml").write_text("python = './python'\noutput = 'json'")
    monkeypatch.setenv("MADCTL_HOSTZ", "a")

    assert cli.main(["config", "--trust"]) == 0
    monkeypatch.setattr(launch, "run", refusing)
    assert cli.main(["rerun"]) == 2
    said = capsys.readouterr()
    assert (
        json.loads(said.out.splitlines()[-1])["errors"][0]["message"]
        == "--python is bad (python is from madctl.toml:1)"
    )
    assert "MADCTL_HOSTZ is not a setting" in said.err


def refusing(options):
    raise refused("USAGE", "--python is bad")


def test_a_program_that_reads_json_by_a_variable_reads_why_nothing_is_launched(launched, monkeypatch, capsys):
    remember("--env LR=swordfish train.py")
    monkeypatch.setenv("MADCTL_OUTPUT", "json")

    assert cli.main(["rerun"]) == 2
    assert json.loads(capsys.readouterr().out)["errors"][0]["code"] == "ENV_UNSET"

# SPDX-License-Identifier: Apache-2.0
"""``madctl config``: what it shows, and the example that it writes."""

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tomllib

from madctl import cli
from madctl.settings import entries, example, finding, listing, reading


def shown(capsys, *words):
    assert cli.main(["config", *words, "--output", "json"]) == 0
    return json.loads(capsys.readouterr().out)["data"]


def test_every_setting_is_shown_with_where_it_is_from(place, capsys):
    place.user.write_text("port = 1\ntimeout = 90")
    place.project.write_text('hosts = "a"\n\ntimeout = 5\n[profile.p.launch]\nport = 3\n[profile.q]')
    place.set("environment", "MADCTL_HOSTS=b,c")

    data = shown(capsys, "--profile", "p")

    rows = {(row["key"], *row["commands"][:1]): row for row in data["settings"]}
    hosts, timeout, port, others = (
        rows[key] for key in (("hosts", "launch"), ("timeout", "launch"), ("port", "launch"), ("port", "check"))
    )
    assert [(row["values"], row["from"][0]["source"]) for row in (hosts, timeout, port, others)] == [
        (["b,c"], "environment"),
        (["5"], "project"),
        (["3"], "project"),
        (["1"], "user"),
    ]
    assert hosts["from"] == [
        {"source": "environment", "path": None, "line": None, "table": None, "variable": "MADCTL_HOSTS"}
    ]
    assert (port["from"][0]["path"], port["from"][0]["line"], port["from"][0]["table"]) == (
        str(place.project),
        5,
        "profile.p.launch",
    )
    assert [one["path"] for one in timeout["overrides"]] == [str(place.user)]
    assert (data["profile"], [file["profiles"] for file in data["files"]]) == ("p", [[], ["p", "q"]])


def test_the_table_says_the_same(place, capsys):
    place.user.write_text("timeout = 90")
    place.project.write_text('timeout = 5\nskip = ["clock", "names"]\n[launch]\ninventory = "a,"\n[lab]\nname = "x"')
    assert cli.main(["config"]) == 0
    out = re.sub(" {2,}", "  ", capsys.readouterr().out).split("\n")

    assert out[1] == "project  madctl.toml (not trusted)"
    assert out[3:7] == [
        "SETTING  VALUE  FROM  FOR",
        f"timeout  5  madctl.toml:1 (not {place.user}:1)  all",
        "skip  clock names  madctl.toml:2  all",
        "inventory  a,  madctl.toml:4 (not trusted)  launch",
    ]
    assert out[7].endswith("lab up, lab down, lab status, lab exec, lab slurm, lab inventory, lab ssh-config")
    assert cli.main(["config", "--trust"]) == 0
    capsys.readouterr()
    assert cli.main(["config"]) == 0
    assert "trusted" not in capsys.readouterr().out


def test_values_that_look_like_secrets_are_not_shown(place, capsys):
    place.user.write_text('env = { API_TOKEN = "swordfish", my_password = "swordfish", NCCL_DEBUG = "INFO" }')

    assert shown(capsys)["settings"][0]["values"] == ["API_TOKEN=***", "my_password=***", "NCCL_DEBUG=INFO"]


def test_tokens_in_addresses_are_not_shown():
    origin = entries.Origin("/a/madctl.toml")
    action = argparse.Namespace(metavar="URL", nargs=None)
    for text, kept in {
        "https://hooks.example.org/services/T0/swordfish": "https://hooks.example.org/***",
        "https://me:swordfish@example.org": "https://example.org/***",
        "swordfish": "***",
    }.items():
        assert listing.written(action, entries.Entry("notify", text, origin)) == [kept]


def test_values_of_hostile_files_are_harmless(place, capsys):
    place.project.write_text('note = "a"\n[profile.p]\nchdir = "\\u001b[2J\\nmadctl: forged"')
    assert cli.main(["config", "--profile", "p"]) == 0
    out = capsys.readouterr().out

    assert "\x1b" not in out
    assert "\nmadctl:" not in out


@pytest.mark.parametrize("text", ['[gc]\ndays = "x"', "[profile.p.gc]\ndays = -1"])
def test_a_bad_value_for_any_command_is_found(place, refusal, text):
    place.project.write_text(text)

    assert "madctl.toml:2: days takes" in refusal("config", *(["--profile", "p"] if "profile" in text else [])).message


@pytest.mark.parametrize(
    ("written", "expected"),
    [(".", ""), ("./", ""), ("src/.", "/src"), ("./src", "/src"), ("a/../src", "/a/../src")],
)
def test_paths_are_shown_without_what_says_nothing(place, capsys, written, expected):
    place.project.write_text(f'sync = "{written}"')

    assert shown(capsys)["settings"][0]["values"] == [f"{place.project.parent}{expected}"]


def test_without_settings_it_says_where_they_would_be(place, capsys):
    assert cli.main(["config"]) == 0
    out = capsys.readouterr().out

    assert str(place.user) in out
    assert "madctl config --init" in out


def test_an_example_is_written_once(place, capsys, refusal):
    assert cli.main(["config", "--init"]) == 0
    assert str(place.project) in capsys.readouterr().out
    assert place.project.stat().st_mode & 0o133 == 0
    assert shown(capsys)["settings"] == []
    assert cli.main(["config"]) == 0
    assert capsys.readouterr().out.endswith("\n\nnothing is set there or in the environment\n")
    before = place.project.read_text()
    assert f"{place.project} exists" in refusal("config", "--init").message
    assert place.project.read_text() == before


def test_an_example_can_be_written_below_a_file_that_is_refused(place, monkeypatch):
    place.project.write_text("port = 1")
    place.project.chmod(0o666)
    below = place.project.parent / "below"
    below.mkdir()
    monkeypatch.chdir(below)

    assert cli.main(["config", "--init"]) == 0
    assert cli.main(["ps"]) == 0


def test_the_example_has_every_setting_and_is_valid_when_nothing_is_a_comment():
    parser = cli.build_parser()
    text = re.sub(r"^# (?=[a-z\[][^ ]* ?(=|$))", "", example.text(parser), flags=re.M)
    found = list(entries.commands(parser))

    file = reading.parse(finding.Text("/madctl.toml", text.encode(), True), found)

    keys = {key for table in file.tables.values() for key in table}
    assert keys == {key for command in found for key in command.options}
    assert len(tomllib.loads(text)) > 10
    for command in found:
        for table in command.tables:
            for key, entry in file.tables.get(table, {}).items():
                if key in command.options:
                    assert listing.written(command.options[key], entry)


def test_the_example_itself_sets_nothing():
    assert tomllib.loads(example.text(cli.build_parser())) == {}


def test_the_guide_shows_a_file_that_is_taken_and_what_is_shown_of_it(place, capsys):
    guide = Path(__file__).parents[4] / "docs/how_to/settings.md"
    (text,) = re.findall(r"^```toml\n(.*?)^```", guide.read_text(), re.M | re.S)
    place.project.write_text(text)

    options = place.parsed("launch", "--profile", "debug", "x.py")

    assert (options.hosts, options.nproc_per_node, options.timeout) == ("gpu01", "1", 600.0)
    assert options.env == ["NCCL_DEBUG=WARN", "NCCL_DEBUG=INFO"]
    assert cli.main(["config", "--profile", "debug"]) == 0
    (shown_there,) = re.findall(r"^```text\n(.*?)^```", guide.read_text(), re.M | re.S)
    assert capsys.readouterr().out == shown_there
    for key in re.findall(r"^\| `--.*\| `([a-z-]+) = ", guide.read_text(), re.M):
        assert key in {key for command in entries.commands(options.parser) for key in command.options}


def test_a_command_without_settings_reads_none(place):
    """Shells run it at their start."""
    place.project.write_text("broken")

    assert place.parsed("completion", "bash").shell == "bash"


def test_every_command_but_a_few_has_settings():
    names = {command.words[0] for command in entries.commands(cli.build_parser())}

    assert set(cli.build_parser().commands) - names <= {"completion", "rerun"}


def test_where_there_are_no_settings_nothing_is_imported_for_them(tmp_path):
    """A start without them costs what it did; so does help, with or without."""
    program = (
        "import sys; from madctl import cli; code = cli.main(sys.argv[1:]);"
        "print(code, sorted({'tomllib', 'platformdirs', 'madctl.settings.applying'} & set(sys.modules)))"
    )
    variables = {name: value for name, value in os.environ.items() if not name.startswith("MADCTL_")}
    variables |= {"XDG_CONFIG_HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)}

    def loaded(*words):
        argv = [sys.executable, "-c", program, *words]
        done = subprocess.run(argv, cwd=tmp_path, env=variables, capture_output=True, text=True, check=True)
        return done.stdout.split("\n")[-2]

    assert loaded("lab", "status", "--name", "A B") == "2 []"
    assert loaded("launch") == "2 []"
    (tmp_path / "madctl.toml").write_text("")
    assert loaded("launch", "--help") == "0 []"
    assert "tomllib" in loaded("launch")


def test_the_user_s_file_is_where_the_platform_has_it(monkeypatch, tmp_path):
    from platformdirs import user_config_path

    for value in (str(tmp_path), "", " "):
        monkeypatch.setenv("XDG_CONFIG_HOME", value)
        assert finding.user() == str(user_config_path("madctl") / "madctl.toml")

# SPDX-License-Identifier: Apache-2.0
"""What files and variables must not have: refused with the place, and what was probably meant."""

import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madctl import cli
from madctl.settings import entries, finding, reading

COMMANDS = list(entries.commands(cli.build_parser()))
LAUNCH = ("launch", "--hosts", "localhost", "x.py")
BAD = {
    "unknown": ("\nhostss = 1", "SETTINGS_INVALID", "madctl.toml:2: 'hostss' is not an option of any command"),
    "underscores": ("nproc_per_node = 8", "SETTINGS_INVALID", "did you mean nproc-per-node?"),
    "the first word, in the plural": ("nprocs = 8", "SETTINGS_INVALID", "did you mean nproc-per-node?"),
    "a part of a name": ("[launch]\nmirror = '/nfs'", "SETTINGS_INVALID", "did you mean force-mirror-local?"),
    "too short to be a part": ("[launch]\nqq = 1", "SETTINGS_INVALID", "madctl config --init writes"),
    "unknown in a command": (
        "[launch]\nprot = 1",
        "SETTINGS_INVALID",
        "madctl.toml:2: 'prot' is not an option of launch",
    ),
    "unknown in a profile": ("[profile.p]\nprot = 1", "SETTINGS_INVALID", "did you mean port?"),
    "of another command": (
        "[status]\npython = 'a'",
        "SETTINGS_INVALID",
        "status has no option --python; commands that have it: launch",
    ),
    "of another command, in a profile": (
        "[profile.p.status]\npython = 'a'",
        "SETTINGS_INVALID",
        "madctl.toml:2: status",
    ),
    "a command that does not exist": (
        "[lunch]\nport = 1",
        "SETTINGS_INVALID",
        "madctl.toml:1: 'lunch' is not a command",
    ),
    "a subcommand that does not exist": ("[lab.upp]\nname = 'a'", "SETTINGS_INVALID", "did you mean up?"),
    "a command in a command": ("[launch.check]\nport = 1", "SETTINGS_INVALID", "'check' is not a table of launch"),
    "a command as a value": ("launch = 1", "SETTINGS_INVALID", "'launch' is not an option"),
    "a rerun has the settings of its launch": ("[rerun]\nport = 1", "SETTINGS_INVALID", "'rerun' is not a command"),
    "never a setting": ("trust = true", "SETTINGS_INVALID", "'trust' is not an option"),
    "help": ("help = true", "SETTINGS_INVALID", "'help' is not an option"),
    "a profile that is a value": ("profile = 'p'", "SETTINGS_INVALID", "madctl.toml:1: profile takes a table"),
    "profiles without a name": ("[profile]\nport = 1", "SETTINGS_INVALID", "madctl.toml:2: port is not in a profile"),
    "a profile in a profile": ("[profile.p.profile.q]\nport = 1", "SETTINGS_INVALID", "'profile' is not"),
    "a hostile name of a profile": ('[profile."a\\u001b[2J"]\n', "SETTINGS_INVALID", "a profile is called by"),
    "no TOML": ("port = 1\nport 2", "SETTINGS_INVALID", "madctl.toml:2: it is not TOML: "),
    "no quotes": ("hosts = gpu[1-2]", "SETTINGS_INVALID", "write texts in quotes"),
    "cut off": ('hosts = ["a",\n', "SETTINGS_INVALID", "madctl.toml:2: it is not TOML"),
    "twice": ("port = 1\n\nport = 2\n", "SETTINGS_INVALID", "madctl.toml:3: it is not TOML: Cannot overwrite"),
    "too deep": ("port = " + "[" * 5000, "SETTINGS_INVALID", "madctl.toml"),
    "a number without end": ("port = " + "1" * 5000, "SETTINGS_INVALID", "madctl.toml"),
    "a switch as text": ("no-install = 'yes'", "USAGE", "madctl.toml:1: no-install takes true or false, not a text"),
    "a switch as a number": ("[launch]\ndetach = 0", "USAGE", "madctl.toml:2: detach takes true or false, not 0"),
    "a text as a switch": ("python = true", "USAGE", "madctl.toml:1: python takes a text or a number, not true"),
    "a text as a list": (
        "[launch]\npython = ['a']",
        "USAGE",
        "python takes a text or a number, not a list; write one text,",
    ),
    "a text as a table": ("[launch.python]\na = 1", "USAGE", "python takes a text or a number, not a table"),
    "a text as a date": ("python = 2026-01-01", "USAGE", "not a date or a time"),
    "a list in a list": ("skip = [['clock']]", "USAGE", "skip takes texts and numbers, not a list"),
    "a switch in a list": ("skip = [true]", "USAGE", "skip takes texts and numbers, not true"),
    "variables as a switch": ("env = false", "USAGE", "env takes a text or a number, not false"),
    "a variable as a switch": ("env = { A = true }", "USAGE", "env takes texts and numbers, not true"),
    "a value that is not taken": ("nproc-per-node = -1", "USAGE", "madctl.toml:1: nproc-per-node takes a number"),
    "a negative count of nodes": ("[launch]\nnnodes = -2", "USAGE", "madctl.toml:2: nnodes takes a number"),
    "a value that is no number": ("timeout = nan", "USAGE", "madctl.toml:1: timeout takes a time"),
    "infinity": ("timeout = inf", "USAGE", "madctl.toml:1: timeout takes a time"),
    "a choice": ("runner = 'mpiexec'", "USAGE", "madctl.toml:1: runner takes torchrun"),
    "a choice of no command": ("output = 'xml'", "USAGE", "madctl.toml:1: output takes text"),
    "NUL": ('python = "a\\u0000"', "USAGE", "madctl.toml:1: python takes text without NUL"),
}


@pytest.mark.parametrize("source", ["project", "user"])
@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_with_the_place(place, refusal, name, source):
    text, code, message = BAD[name]
    getattr(place, source).write_text(text)

    problem = refusal(*LAUNCH)

    assert problem.code == code
    assert message in str(problem)
    assert str(problem).isprintable()


def test_what_the_parser_does_not_see_is_refused_with_the_place(place, refusal):
    place.project.write_text('\nhosts = "gpu[1-"\n')
    assert str(refusal("launch", "x.py")).startswith(
        "host list 'gpu[1-': brackets do not match (hosts is from madctl.toml:2)"
    )
    place.project.write_text('[launch]\nchdir = "/a"\nidle-timeout = "5m"\n')
    problem = refusal("launch", "--hosts", "localhost", "--detach", "x.py")
    assert "--idle-timeout needs a process that follows (idle-timeout is from madctl.toml:3)" in str(problem)


def test_a_variable_that_was_typed_is_not_blamed_on_a_file_with_others(place, refusal, monkeypatch):
    monkeypatch.delenv("ABSENT", raising=False)
    place.user.write_text('env = ["ABSENT"]')
    place.project.write_text('env = { OTHER = "1", NOT_ABSENT = "2" }')
    assert "(env is from ~" in str(refusal("launch", "--hosts", "localhost", "x.py")).replace(str(place.user), "~")

    place.user.write_text("")
    problem = refusal("launch", "--hosts", "localhost", "--env", "ABSENT", "x.py")
    assert problem.code == "ENV_UNSET" and "is from" not in str(problem)


def test_a_value_that_is_a_part_of_another_word_is_not_blamed(place, refusal):
    place.project.write_text('note = "match"\nname = "brackets"\nchdir = "rack"')

    assert "(name is from madctl.toml:2)" in str(refusal("launch", "--hosts", "gpu[1-", "x.py"))


def test_what_was_typed_is_not_blamed_on_a_file(place, refusal):
    place.project.write_text('hosts = "a"\nidle-timeout = "5m"')

    assert "from" not in str(refusal("launch", "--hosts", "gpu[1-", "x.py"))
    assert "from" not in str(refusal("launch", "--idle-timeout", "1m", "--detach", "x.py"))


VARIABLES = {
    "MADCTL_NPROC_PER_NODE=x": "MADCTL_NPROC_PER_NODE: nproc-per-node takes a number",
    "MADCTL_DETACH=maybe": "MADCTL_DETACH: detach takes true or false, not a text",
    "MADCTL_SKIP='clock": "MADCTL_SKIP: skip cannot be split into words",
    "MADCTL_OUTPUT=xml": "MADCTL_OUTPUT: output takes text",
    "MADCTL_HOSTS=a,,b": "from MADCTL_HOSTS",
}


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_bad_variable_is_refused_by_its_name(place, refusal, variable):
    place.set("environment", variable)

    assert VARIABLES[variable] in str(refusal("launch", "x.py"))


@pytest.mark.parametrize(
    ("name", "meant"),
    [("MADCTL_HOTS", "MADCTL_HOSTS?"), ("MADCTL_NPROC_PER_NODES", "MADCTL_NPROC_PER_NODE?"), ("MADCTL_OF_A_JOB", None)],
)
def test_a_misspelled_variable_is_noticed(place, name, meant):
    place.set("environment", f"{name}=1")
    found = [str(notice) for notice in place.parsed(*LAUNCH).notices]
    assert found == ([f"{name} is not a setting; did you mean {meant} [SETTING_UNKNOWN]"] if meant else [])
    place.set("environment", "MADCTL_RUN_ID=1")
    assert place.parsed(*LAUNCH).notices == [], "a job may have variables of its own"


@pytest.mark.parametrize("words", [["--profile", "prd"], ["--profile=prd"]])
def test_a_profile_that_does_not_exist_is_refused(place, refusal, words):
    assert "there is no profile 'prd' in madctl.toml, and there is no such file" in str(
        refusal("launch", *words, "x.py")
    )
    place.project.write_text("[profile.prod]")
    problem = refusal("launch", *words, "x.py")
    assert problem.code == "PROFILE_UNKNOWN"
    assert str(problem).startswith("--profile: there is no profile 'prd' in madctl.toml; did you mean prod?")
    place.set("environment", "MADCTL_PROFILE=x")
    assert str(refusal(*LAUNCH)).startswith("MADCTL_PROFILE: there is no profile 'x'")


NO_FILES = {
    "a directory": lambda path: path.mkdir(),
    "a pipe": os.mkfifo,
    "a link to nothing": lambda path: path.symlink_to("nothing"),
    "a link to itself": lambda path: path.symlink_to(path),
    "too large": lambda path: path.write_text("#" * (finding.MOST_BYTES + 1)),
    "endless": lambda path: path.symlink_to("/dev/zero"),
    "not UTF-8": lambda path: path.write_bytes(b"a\n\xff"),
}


@pytest.mark.parametrize("name", NO_FILES)
def test_what_is_no_file_of_settings_is_refused(place, refusal, name):
    NO_FILES[name](place.project)

    problem = refusal(*LAUNCH)

    assert problem.code in ("SETTINGS_INVALID", "SETTINGS_REFUSED")
    assert "madctl.toml" in problem.message
    assert name != "not UTF-8" or "madctl.toml:2: it is not UTF-8" in problem.message


@pytest.mark.parametrize("source", ["project", "user"])
@pytest.mark.parametrize("mode", [0o666, 0o602, 0o646])
def test_a_file_that_others_may_write_is_refused(place, refusal, source, mode):
    path = getattr(place, source)
    path.write_text("port = 1")
    path.chmod(mode)
    problem = refusal(*LAUNCH)
    assert (problem.code, problem.remedy) == ("SETTINGS_REFUSED", f"chmod go-w {path}")
    path.chmod(stat.S_IMODE(mode & ~0o022))
    assert place.parsed(*LAUNCH).port == 1


def test_a_group_may_write_only_if_it_is_the_user_s_own(place, refusal, monkeypatch):
    place.project.write_text("port = 1")
    place.project.chmod(0o664)
    own = place.project.stat()
    entry = type("Entry", (), {"pw_gid": own.st_gid, "pw_name": "me", "gr_name": "me", "gr_mem": []})
    monkeypatch.setattr("pwd.getpwuid", lambda _: entry)
    monkeypatch.setattr("grp.getgrgid", lambda _: entry)
    assert place.parsed(*LAUNCH).port == 1
    for name, value in (("gr_mem", ["me", "other"]), ("gr_name", "users"), ("pw_gid", own.st_gid + 1)):
        with monkeypatch.context() as changed:
            changed.setattr(entry, name, value)
            assert refusal(*LAUNCH).code == "SETTINGS_REFUSED"


@pytest.mark.parametrize("source", ["project", "user"])
def test_a_file_of_another_user_is_refused(place, refusal, monkeypatch, source):
    getattr(place, source).write_text("port = 1")
    status = os.fstat

    def owned_by_another(descriptor):
        found = list(status(descriptor))
        found[stat.ST_UID] = os.geteuid() + 7
        return os.stat_result(found)

    monkeypatch.setattr(finding.os, "fstat", owned_by_another)
    problem = refusal(*LAUNCH)
    assert (problem.code, "another user" in problem.message) == ("SETTINGS_REFUSED", True)
    monkeypatch.setattr(finding.os, "geteuid", lambda: 0)
    monkeypatch.setenv("SUDO_UID", str(os.getuid() + 7))
    assert place.parsed(*LAUNCH).port == 1, "who called sudo"


def test_a_link_of_another_user_is_refused(place, refusal, monkeypatch):
    (place.project.parent / "own").write_text("port = 1")
    place.project.symlink_to("own")
    assert place.parsed(*LAUNCH).port == 1
    look = os.lstat

    def owned_by_another(path):
        found = list(look(path))
        found[stat.ST_UID] = os.geteuid() + 7
        return os.stat_result(found)

    monkeypatch.setattr(finding.os, "lstat", owned_by_another)
    assert refusal(*LAUNCH).code == "SETTINGS_REFUSED"


@pytest.mark.parametrize("words", [["--help"], ["launch", "--help"], ["help", "stop"], ["--version"]], ids=" ".join)
def test_help_needs_no_settings(place, capsys, words):
    place.project.write_text("broken")

    assert cli.main(words) == 0
    assert capsys.readouterr().err == ""


def test_a_stop_goes_on_without_settings_that_are_refused(place, capsys):
    place.project.write_text("[stop]\nforce = true\nbroken")

    options = cli.parsed(["stop", "name"])
    assert (options.runs, options.force) == (["name"], False)
    assert [(each.code, "madctl.toml" in each.message) for each in options.notices] == [("SETTINGS_INVALID", True)]


@pytest.mark.parametrize("words", [["launch", "--output", "json", "x.py"], ["launch", "x.py"]], ids=" ".join)
def test_refusals_are_json_where_that_was_asked_for(place, capsys, words):
    place.project.write_text("broken")
    place.set("environment", "MADCTL_OUTPUT=json")
    assert cli.main(words) == 2
    assert '"code": "SETTINGS_INVALID"' in capsys.readouterr().out
    place.project.write_text('hosts = "gpu[1-"')
    assert cli.main(words) == 2
    assert '"code": "HOSTS_MALFORMED"' in capsys.readouterr().out
    assert cli.main(["launch", "--output=text", "--bogus", "x.py"]) == 2
    assert capsys.readouterr().out == ""


def test_an_output_of_a_file_counts_for_errors(place, capsys):
    place.project.write_text('output = "json"\nhosts = "gpu[1-"')
    assert cli.main(["launch", "x.py"]) == 2
    assert '"code": "HOSTS_MALFORMED"' in capsys.readouterr().out
    assert cli.main(["launch", "--output", "text", "x.py"]) == 2
    assert capsys.readouterr().out == ""


LINES = '''\ufeff# a comment
port = 1 # [launch]

skip = [
  "clock", # ]
  "names",
]
note = """
[status]
output = 'json'
"""
launch.python = "a"
"user" = 'b'
[ launch ]
env = { A = 1,  B = "=[" }
[profile."p"]
[profile.p.launch]
gpus = "min"
'''


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_line_of_every_key_is_found(place, end):
    text = LINES.replace("[ launch ]", "[check]").replace("\n", end)
    file = reading.parse(finding.Text(str(place.project), text.encode(), True), COMMANDS)

    found = {
        (*table, key): entry.origin.line for table, entries in file.tables.items() for key, entry in entries.items()
    }

    assert found == {
        ("port",): 2,
        ("skip",): 4,
        ("note",): 8,
        ("launch", "python"): 12,
        ("user",): 13,
        ("check", "env"): 15,
        ("profile", "p", "launch", "gpus"): 18,
    }


def test_a_statement_without_end_takes_no_time(place):
    rows = ["skip = ["] + ['"clock",'] * 6000 + ["]", "port = 1"]
    file = reading.parse(finding.Text(str(place.project), "\n".join(rows).encode(), True), COMMANDS)

    assert file.tables[()]["port"].origin.line is None
    assert str(file.tables[()]["port"].origin) == "madctl.toml"


@given(st.lists(st.tuples(st.integers(0, 700), st.binary(max_size=3)), min_size=1, max_size=4))
def test_a_damaged_file_never_ends_in_a_traceback(changes):
    content = LINES.encode() + b'[profile.q.lab.up]\nname = "a"\n' * 2
    for at, put in changes:
        content = content[:at] + put + content[at + 1 :]

    try:
        file = reading.parse(finding.Text("/nowhere/madctl.toml", content, True), COMMANDS)
    except cli.MadctlError as error:
        assert all(str(problem).isprintable() for problem in error.problems)
    else:
        assert file.tables is not None

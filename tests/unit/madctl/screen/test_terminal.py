# SPDX-License-Identifier: Apache-2.0
"""The one place that prints: what is harmless, and streams that take nothing."""

import os
import pty
import subprocess
import sys
import threading

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import plain
from ansible_collections.madctl.multinode.plugins.module_utils._common.raw_words import joined, pack, quoted
from madctl.errors import Problem
from madctl.screen import terminal
from madctl.screen.problems import print_problems
from madctl.screen.view import View
from tests import hostile

CLI = [sys.executable, "-m", "madctl"]


def madctl(*words, **options):
    return subprocess.run([*CLI, *words], capture_output="stdout" not in options, text=True, timeout=60, **options)


SHOWN = {
    "über 気 ✓ │": "über 気 ✓ │",
    "a\nmadctl: b": "a\\nmadctl: b",
    "a\rb": "a\\rb",
    "a\tb": "a\\tb",
    "\x1b[2J": "\\x1b[2J",
    "\x9b2J\x7f": "\\x9b2J\\x7f",
    "\u202eexe\u2066\u200f": "\\u202eexe\\u2066\\u200f",
    "a\u2028b\u2029": "a\\u2028b\\u2029",
    "\udc80\ud800": "\\udc80\\ud800",
    "a\0": "a\\x00",
    "\ufeffx": "\\ufeffx",
}


@pytest.mark.parametrize("text", SHOWN)
def test_what_can_be_seen_stays_and_all_else_is_written_out(text):
    assert plain(text) == SHOWN[text]
    assert plain(plain(text)) == SHOWN[text]


@pytest.mark.parametrize("name", hostile.LANGUAGES)
def test_a_text_is_one_line(name, capsys):
    terminal.say(hostile.LANGUAGES[name])
    terminal.tell(hostile.LANGUAGES[name], "second")
    said = capsys.readouterr()

    assert said.out.count("\n") == 1 and hostile.is_harmless(said.out.rstrip("\n"))
    assert said.err.count("\n") == 2 and hostile.is_harmless(said.err.replace("\n", ""))


def test_a_line_of_a_job_keeps_its_tabs_and_its_label_none(capsys):
    terminal.OUT.job("node\t1", ["a\tb"])

    assert capsys.readouterr().out == "node\\t1 │ a\tb\n"


@pytest.mark.parametrize(
    "word", ["plain", "it's", "a b", "a\nb", "\x1b]0;x\x07", "back\\slash\n'", "\udcff\udc80", "é\u2028", ""]
)
def test_a_word_is_quoted_for_a_shell_that_gets_it_back(word):
    line = quoted(word)
    done = subprocess.run(
        ["bash", "-c", f"printf %s {line}"], capture_output=True, env={"LC_ALL": "C.UTF-8"}, check=True
    )

    assert hostile.is_harmless(line)
    assert done.stdout == os.fsencode(word)
    assert joined([pack(word), "x"]) == f"{line} x"


# -- whatever becomes of the streams -----------------------------------------------------------------


def test_a_full_disk_at_standard_output_is_an_error_and_a_line():
    with open("/dev/full", "w") as full:
        done = madctl("--version", stdout=full, stderr=subprocess.PIPE)

    assert done.returncode == 1
    assert done.stderr.startswith("madctl: some output could not be written: no space left on device")
    assert done.stderr.endswith("[OUTPUT_LOST]\n") and done.stderr.count("\n") == 1


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["launch", "--help"], []])
def test_help_says_so_too(words):
    with open("/dev/full", "w") as full:
        done = madctl(*words, stdout=full, stderr=subprocess.PIPE)

    assert done.returncode == (1 if words else 2)
    assert done.stderr.count("\n") == 1 and "[OUTPUT_LOST]" in done.stderr


def test_an_error_keeps_its_exit_code_without_a_reader(tmp_path):
    # The reader of a pipe that is gone says nothing of how the command went.
    reading, writing = os.pipe()
    os.close(reading)
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    done = madctl("status", "x", "--output", "json", stdout=writing, stderr=subprocess.PIPE, env=environment)
    os.close(writing)

    assert done.returncode == 2
    assert done.stderr == "madctl: no run is called or begins with x; see madctl ps [RUN_UNKNOWN]\n"


@pytest.mark.parametrize("redirection", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-", "2>/dev/full", ">/dev/full 2>&1"])
def test_closed_streams_cause_no_traceback(redirection, tmp_path):
    script = f"{sys.executable} -m madctl status x {redirection}; echo $?"
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=60, env=environment)

    assert done.stdout == "2\n"
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_stream_that_has_no_code_for_a_character_gets_it_spelled_out(encoding, tmp_path):
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "XDG_STATE_HOME": str(tmp_path)}
    done = subprocess.run([*CLI, "status", "→"], capture_output=True, timeout=60, env=environment)

    assert done.returncode == 2
    assert done.stderr.decode(encoding).startswith(
        f"madctl: no run is called or begins with {'→' if encoding == 'utf-8' else chr(92) + 'u2192'};"
    )


# -- nothing ends in a traceback -----------------------------------------------------------------------

ARGUMENTS = [
    *([option, text] for text in hostile.LANGUAGES.values() for option in ("status", "ps", "--output", "nonsense")),
    *(["gc", "--days", text] for text in hostile.LANGUAGES.values()),
    *(["launch", "--python", text, "--skip", text, "--", "x.py"] for text in hostile.LANGUAGES.values()),
]


def test_errors_about_arguments_are_one_harmless_line_each(capsys, tmp_path, monkeypatch, one_parser):
    from madctl import cli

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    for words in ARGUMENTS:
        assert cli.main(words) == 2, words
        said = capsys.readouterr()
        assert said.err.startswith("madctl: ") and said.err.count("\n") == 1, words
        assert hostile.is_harmless(said.err.rstrip("\n")) and not said.out, words


def test_an_unforeseen_error_is_a_line(capsys, monkeypatch, tmp_path):
    from madctl import cli
    from madctl.records import record_store

    def fail(_):
        raise KeyError("x\x1b\nmadctl: forged")

    monkeypatch.setattr(record_store, "load", fail)
    code = cli.main(["status", "--output", "json"])
    said = capsys.readouterr()

    assert code == 1
    assert said.err.startswith("madctl: KeyError: ") and said.err.count("\n") == 1
    assert "[INTERNAL]" in said.err and "report" in said.err and "MADCTL_DEBUG=1" in said.err
    assert '"INTERNAL"' in said.out
    monkeypatch.setenv("MADCTL_DEBUG", "1")
    assert cli.main(["status"]) == 1
    assert capsys.readouterr().err.startswith("Traceback")


def test_what_a_machine_lacks_is_not_a_bug(capsys, monkeypatch):
    from madctl import cli
    from madctl.records import record_store

    def fail(_):
        raise OSError(28, "No space left on device", "/tmp/\x1bx")

    monkeypatch.setattr(record_store, "load", fail)

    assert cli.main(["status"]) == 1
    assert capsys.readouterr().err == "madctl: /tmp/\\x1bx: no space left on device [INTERNAL]\n"


def test_silence_is_that_of_its_own_thread_and_of_views_that_are_made_in_it(capfd):
    other = threading.Thread(target=terminal.say, args=("another thread",))
    with terminal.silence():
        view = View(["node1"], as_json=False)
        terminal.say("x")
        terminal.tell("x")
        print_problems([Problem("USAGE", "x")], [])
        other.start()
        other.join()
    view.progress("queue", "x")
    view.errors = [Problem("USAGE", "x")]
    view.finish("failed", None, False)
    terminal.say("again")

    assert capfd.readouterr() == ("another thread\nagain\n", "")


@pytest.mark.parametrize(
    ("typed", "is_yes"),
    [("y\n", True), ("yes\n", True), ("\n", False), ("no\n", False), ("\x04", False), ("y\udcff\n", False)],
)
def test_a_question_on_a_terminal(typed, is_yes, monkeypatch):
    master, slave = pty.openpty()
    with os.fdopen(slave, "r", closefd=False) as given, os.fdopen(slave, "w") as shown:
        monkeypatch.setattr(sys, "stdin", given)
        monkeypatch.setattr(sys, "stderr", shown)
        os.write(master, typed.encode(errors="surrogateescape"))
        assert terminal.can_ask()
        assert terminal.agreed("stop\x1b[2J these 2 runs?") is is_yes
        seen = b""
        # The terminal shows what was typed as well, perhaps before.
        while b"[y/N] " not in seen:
            seen += os.read(master, 1 << 16)
    assert b"stop\\x1b[2J these 2 runs? [y/N] " in seen
    os.close(master)


def test_nobody_is_asked_without_a_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)

    assert not terminal.can_ask()

# SPDX-License-Identifier: Apache-2.0
"""A process gets another command line, as ps shows it, or keeps its own."""

import subprocess
import sys

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._node import procfs, title

PROGRAM = "import sys; exec(sys.stdin.readline().encode().decode('unicode_escape')); sys.stdin.read()"
ROOM = "x" * 200


@pytest.fixture
def renamed():
    """Start a process with room in its command line, and have it write other words there."""
    started = []

    def make(words, text=None):
        with open(title.__file__, encoding="utf-8") as stream:
            program = f"{text or stream.read()}\nprint(become({words!r}), flush=True)"
        argv = [sys.executable, "-I", "-S", "-c", PROGRAM, ROOM]
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        process.stdin.write(program.encode("unicode_escape").decode() + "\n")
        process.stdin.flush()
        return process.pid, process.stdout.readline().strip(), argv

    yield make
    for process in started:
        process.communicate(timeout=60)


@pytest.mark.parametrize("words", [["madctl", "agent"], ["/opt/python3", "-I", "/r/madctl_node.py", "program", "/r"]])
def test_other_processes_see_the_new_command_line(renamed, words):
    pid, answer, _ = renamed(words)

    assert answer == "True"
    found = procfs.command_line(pid)
    assert found[: len(words)] == words
    assert not any(found[len(words) :]), "nothing of the old one is left"


def test_words_that_do_not_fit_change_nothing(renamed):
    pid, answer, argv = renamed(["madctl", "y" * 4000])

    assert (answer, procfs.command_line(pid)) == ("False", argv)


def test_where_the_kernel_refuses_nothing_changes(renamed):
    with open(title.__file__, encoding="utf-8") as stream:
        text = stream.read().replace('"/proc/self/mem"', '"/proc/self/none"')
    pid, answer, argv = renamed(["madctl", "agent"], text)

    assert (answer, procfs.command_line(pid)) == ("False", argv)


def test_a_forked_process_changes_its_own_alone(renamed):
    with open(title.__file__, encoding="utf-8") as stream:
        text = stream.read()
    text += """
own = become
def become(words):
    ours, theirs = os.pipe()
    pid = os.fork()
    if not pid:
        own(words)
        with open("/proc/self/cmdline", "rb") as stream:
            os.write(theirs, stream.read())
        os._exit(0)
    os.waitpid(pid, 0)
    return os.read(ours, 4096).rstrip(b"\\0")
"""
    pid, answer, argv = renamed(["madctl", "child"], text)

    assert answer == repr(b"madctl\0child")
    assert procfs.command_line(pid) == argv

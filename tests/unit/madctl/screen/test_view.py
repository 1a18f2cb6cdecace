# SPDX-License-Identifier: Apache-2.0
"""What reaches the screen, of events, of problems, of secrets, with a terminal and without."""

import io
import re
import sys
import threading
import time
import types

import pyte
import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._show import stage_table, waiting
from ansible_collections.madctl.multinode.plugins.module_utils._show.chosen import Chosen
from madctl.errors import Problem
from madctl.playbook.session import RunSession
from madctl.screen import view as module
from madctl.screen.lines import Window
from madctl.screen.view import View

HOSTS = ("node1", "node2", "node3")


def plan(*hosts):
    nodes = [{"host": host, "nproc_per_node": 1, "interface": "ib0"} for host in hosts or HOSTS]
    shared = {"run_id": "r", "shape": "script", "master_addr": "10.0.0.1", "master_port": 1}
    return {**shared, "nodes": nodes, "nnodes": len(nodes), "world_size": len(nodes)}


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def screen(monkeypatch):
    """One screen for both streams, so that order is seen; it cannot draw."""
    monkeypatch.setenv("TERM", "dumb")

    def make(terminal=False, **options):
        both = Terminal() if terminal else io.StringIO()
        monkeypatch.setattr(sys, "stdout", both)
        monkeypatch.setattr(sys, "stderr", both)
        view = View(HOSTS, **{"as_json": False, "stages": (), **options})
        return view, lambda: [" ".join(line.split(" ")).rstrip() for line in both.getvalue().splitlines()]

    return make


@pytest.fixture
def patient(monkeypatch):
    """Lines wait for equal ones until the view is closed, however slow this machine is."""
    monkeypatch.setattr(module, "Window", lambda: Window(float("inf")))


def log(view, host, rank, text):
    view.on_event({"event": "log", "host": host, "log": f"rank-{rank}.out"}, text.encode())


def short(lines):
    return [" ".join(line.split()) for line in lines]


def test_a_notice_that_was_told_before_is_kept_and_not_told_again(screen):
    view, shown = screen(told=["NO_GPU"])
    view.warnings = [Problem("NO_GPU", "no GPU on any node"), Problem("NAME_IS_LOOPBACK", "it is", "node1")]
    view.planned(plan(), [])

    assert [line for line in shown() if "notice" in line] == ["notice  node1: it is [NAME_IS_LOOPBACK]"]
    assert [problem.code for problem in view.warnings] == ["NO_GPU", "NAME_IS_LOOPBACK"]


# -- lines of the job -------------------------------------------------------------------------------


def say_the_same(view):
    for host, rank in (("node1", 0), ("node1", 1), ("node2", 2), ("node2", 3)):
        log(view, host, rank, "epoch 3 done\n")
    log(view, "node2", 3, "only me\n")


def test_without_a_terminal_every_line_is_shown_at_once(screen):
    view, lines = screen()
    say_the_same(view)

    assert lines() == [
        "node1:0    │ epoch 3 done",
        "node1:1    │ epoch 3 done",
        "node2:2    │ epoch 3 done",
        "node2:3    │ epoch 3 done",
        "node2:3    │ only me",
    ]


def test_an_empty_line_is_a_line(screen):
    view, lines = screen()
    log(view, "node1", 0, "\n")

    assert short(lines()) == ["node1:0 │"]


def test_on_a_terminal_equal_lines_are_one(screen, patient):
    view, lines = screen(terminal=True)
    say_the_same(view)
    view.close()

    assert lines() == ["node[1-2] ×4   │ epoch 3 done", "node2:3        │ only me"]


def test_on_a_terminal_a_line_appears_though_nothing_more_comes(screen):
    view, lines = screen(terminal=True)
    log(view, "node1", 0, "alone\n")
    deadline = time.monotonic() + 60
    while not lines() and time.monotonic() < deadline:
        time.sleep(0.02)

    assert short(lines()) == ["node1:0 │ alone"]


def test_json_keeps_stdout_for_itself(screen, monkeypatch):
    view, lines = screen(as_json=True)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    log(view, "node1", 0, "x\n")

    assert short(lines()) == ["node1:0 │ x"]


ENDINGS = {
    "notice": lambda view: view.notice(Problem("X", "careful")),
    "interrupted": lambda view: view.interrupted(b"s"),
    "still_running": lambda view: view.still_running("run"),
    "finish": lambda view: view.finish("succeeded", {"world_size": 4, "nodes": []}, True),
    "close": lambda view: view.close(),
    "stopping": lambda view: view.on_event({"event": "stopping"}, b""),
    "lost": lambda view: view.on_event({"event": "lost", "host": "node2"}, b""),
    "idle": lambda view: view.on_event({"event": "idle", "seconds": 600}, b""),
    "restart": lambda view: view.on_event({"event": "restart", "attempt": 1, "of": 3}, b""),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_waiting_lines_come_before_whatever_is_said_next(screen, ending):
    view, lines = screen(terminal=True)
    log(view, "node1", 0, "first\n")
    ENDINGS[ending](view)

    assert short(lines())[0] == "node1:0 │ first"


@pytest.mark.parametrize("ending", ["still_running", "finish", "restart", "lost"])
@pytest.mark.parametrize("terminal", [True, False])
def test_a_last_line_without_newline_is_shown(screen, ending, terminal):
    view, lines = screen(terminal)
    log(view, "node2", 2, "no newline")
    ENDINGS[ending](view)

    assert short(lines())[0] == "node2:2 │ no newline"


def test_events_of_many_threads_lose_nothing(screen):
    view, lines = screen(terminal=True)

    def talk(rank):
        for number in range(300):
            log(view, f"node{rank % 3 + 1}", rank, f"line {number}\n")
            if number % 100 == 0:
                view.notice(Problem("X", f"{rank}"))

    threads = [threading.Thread(target=talk, args=(rank,)) for rank in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    view.close()

    counts = {}
    for line in lines():
        label, bar, text = line.partition("│ ")
        if bar:
            counts[text] = counts.get(text, 0) + int(label.partition("×")[2] or 1)
    assert counts == {f"line {number}": 6 for number in range(300)}
    assert sum(line.startswith("notice") for line in lines()) == 18


def held_by_another(view, act):
    """Call while another thread is inside the view; return the thread that waits, and the way out."""
    held, release = threading.Event(), threading.Event()

    def inside():
        with view._lock:
            held.set()
            release.wait(120)

    threading.Thread(target=inside).start()
    held.wait(60)
    waiting = threading.Thread(target=act)
    waiting.start()
    waiting.join(0.05)
    return waiting, release


CALLS = {
    "on_event": lambda view: view.on_event({"event": "lost", "host": "node1"}, b""),
    "notice": lambda view: view.notice(Problem("X", "careful")),
    "planned": lambda view: view.planned(None, ()),
    "attached": lambda view: view.attached({"run_id": "r", "nnodes": 1, "world_size": 1, "nodes": []}),
    "finish": lambda view: view.finish("failed", None, True),
    "close": lambda view: view.close(),
}


@pytest.mark.parametrize("call", CALLS)
def test_one_thread_at_a_time(screen, call):
    view, lines = screen()
    waiting, release = held_by_another(view, lambda: CALLS[call](view))
    waited = waiting.is_alive() and not lines()
    release.set()
    waiting.join(60)

    assert waited and not waiting.is_alive()


def test_a_signal_does_not_wait_for_a_screen_that_takes_nothing(screen, monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE", 0.05)
    view, lines = screen()

    def act():
        view.interrupted(b"s")
        view.still_running("run-1")

    waiting, release = held_by_another(view, act)
    waiting.join(60)
    left = not waiting.is_alive()
    release.set()

    assert left
    assert short(lines()) == [
        "stop stopping; press Ctrl-C again to kill",
        "run run-1 is still running",
        "attach madctl attach run-1",
        "stop madctl stop run-1",
    ]


def test_long_lines_are_shown_in_pieces_and_remembered_short(screen):
    view, lines = screen()
    log(view, "node1", 0, "x" * 70000 + "\n")
    view.errors = [Problem("RANK_FAILED", "failed", "node1", rank=0)]
    view.finish("failed", None, True)
    pieces = [line.partition("│ ")[2] for line in lines() if "│" in line]

    assert [len(piece) for piece in pieces] == [65538, 4464]
    assert pieces[0].endswith("x …") and not pieces[1].endswith("…")
    assert max(len(line) for line in lines() if line.startswith("  ")) < 5000


# -- lines that have not ended ----------------------------------------------------------------------


@pytest.fixture(params=[40, 80, 200])
def drawn(request, screen, monkeypatch):
    """A view on a terminal that can draw, and what is to be seen there."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", str(request.param))
    monkeypatch.setenv("LINES", "20")

    def make(**options):
        view, _ = screen(terminal=True, **options)
        view.attached(plan())
        return view, seen

    def seen(wait_for=None):
        deadline = time.monotonic() + 60
        while True:
            there = pyte.Screen(request.param, 20)
            pyte.Stream(there).feed(sys.stdout.getvalue().replace("\n", "\r\n"))
            lines = [line.rstrip() for line in there.display if line.strip()]
            if wait_for is None or any(wait_for in line for line in lines):
                return lines
            assert time.monotonic() < deadline, lines
            time.sleep(0.02)

    return make


def of_first(lines):
    return [" ".join(line.split()) for line in lines if line.startswith("node1:0")]


def test_a_bar_is_drawn_below_all_lines_and_ends_as_one(drawn):
    view, seen = drawn()
    for percent in (5, 50):
        log(view, "node1", 0, f"\r{percent}%|{'#' * 300}")
        lines = seen(f" {percent}%|")
        assert len(of_first(lines)) == 1 and lines[-1].startswith("node1:0") and lines[-1].endswith("#")
    log(view, "node2", 1, "a line\n")
    view.notice(Problem("X", "careful"))
    lines = seen("a line")
    assert [line.split()[0] for line in lines] == ["attach", "node2:1", "notice", "node1:0"]
    log(view, "node1", 0, "\r100%|done\n")
    view.close()

    assert of_first(seen("100%")) == ["node1:0 │ 100%|done"]


@pytest.mark.parametrize("ending", ["still_running", "finish", "interrupted", "close"])
def test_nothing_of_a_drawing_is_left_at_the_end(drawn, ending):
    view, seen = drawn()
    log(view, "node1", 0, "\r50%\rready? ")
    seen("ready?")
    view.errors = [Problem("X", "it failed")]
    ENDINGS[ending](view)
    view.finish("failed", {"nodes": [{"run_dir": "/r"}]}, True, logs="madctl logs r")
    view.close()
    time.sleep(0.15)  # Whatever is drawn later would be left.

    assert of_first(seen("logs ")) == ["node1:0 │ ready?"]
    assert seen()[-1].startswith("logs ")


def test_an_echo_of_the_terminal_is_taken_away(drawn):
    view, seen = drawn()
    for order in (b"s", b"k"):
        sys.stdout.write("^C")
        view.interrupted(order)
    view.close()

    assert not [line for line in seen() if "^C" in line]
    assert [line.split()[1] for line in seen() if line.startswith("stop ")] == ["interrupted;", "killing;"]


def test_other_ranks_are_drawn_only_if_they_are_asked_for(drawn):
    for options, shown in (({}, "node1:0"), ({"chosen": Chosen(ranks=((2, 2),))}, "node3:2")):
        view, seen = drawn(**options)
        for number, host in enumerate(HOSTS):
            log(view, host, number, f"\rbar of {number}")
        assert [line.split()[0] for line in seen("bar of") if "bar of" in line] == [shown]
        view.close()


def test_two_rows_of_a_rank_are_two_lines(drawn):
    view, seen = drawn()
    log(view, "node1", 0, "\router 1\n\rinner 1\x1b[A\router 2\n\rinner 2\x1b[A")
    assert of_first(seen("inner 2")) == ["node1:0 │ outer 2", "node1:0 │ inner 2"]
    log(view, "node1", 0, "\n\rinner 3\n")
    view.close()
    log(view, "node1", 0, "")
    view.finish("succeeded", {"nodes": [{"run_dir": "/r"}]}, True)

    assert of_first(seen("done ")) == ["node1:0 │ outer 2", "node1:0 │ inner 3"]


def test_a_secret_is_never_drawn(drawn):
    view, seen = drawn(secrets=("hunter22",))
    for piece in ("x hun", "ter", "22"):
        log(view, "node1", 0, piece)
        view._beat()
        assert "hunt" not in sys.stdout.getvalue()
    seen("x ***")
    view.close()


def test_colours_are_shown_on_a_terminal_and_fold(drawn, patient):
    view, seen = drawn()
    for number, host in enumerate(HOSTS[:2]):
        log(view, host, number, "\x1b[1;32mgreen\x1b[0m \x1b[2J\n")
    log(view, "node1", 0, f"\x1b[31m{'r' * 300}")
    seen("rrr")
    view.close()
    shown = sys.stdout.getvalue()

    assert shown.count("\x1b[1;32mgreen\x1b[0m \\x1b[2J\x1b[0m\n") == 1 and "×2" in shown
    assert "r\x1b[0m" in shown and "\x1b[2J" not in shown


@pytest.mark.parametrize("how", ["pipe", "NO_COLOR", "json"])
def test_colours_are_stripped_elsewhere(screen, monkeypatch, how):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1" if how == "NO_COLOR" else "")
    view, lines = screen(terminal=how != "pipe", as_json=how == "json")
    log(view, "node1", 0, "\x1b[1;32mgreen\x1b[0m \x1b[2J\n")
    view.close()

    assert "green \\x1b[2J" in "\n".join(lines()) and "\x1b[1;32m" not in sys.stdout.getvalue()


def test_last_lines_have_no_colours(drawn):
    view, seen = drawn()
    log(view, "node1", 0, "\x1b[31mred\x1b[0m\n")
    view.errors = [Problem("RANK_FAILED", "failed", "node1", rank=0)]
    view.finish("failed", None, True)

    assert "  red\n" in sys.stdout.getvalue()


def test_a_clock_is_drawn_while_nothing_is_printed(drawn, monkeypatch):
    monkeypatch.setattr(waiting, "QUIET_SECONDS", 0.05)
    view, seen = drawn()
    view._below.begin({**plan(), "shape": "command"})
    for host in HOSTS:
        view.on_event({"event": "started", "host": host}, b"")
    assert re.match(r"running on 3 nodes, no output for \d+ s", seen("running on 3 nodes, no output for")[-1])
    monkeypatch.setattr(waiting, "QUIET_SECONDS", 60)
    log(view, "node1", 0, "x\n")
    assert not any("no output" in line for line in seen("x"))
    view.close()


@pytest.mark.parametrize("dumb_terminal", [True, False])
def test_where_nothing_can_be_drawn_a_line_without_end_is_shown_now_and_then(screen, monkeypatch, dumb_terminal):
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(module, "SNAPSHOT_SECONDS", 0.05)
    monkeypatch.setattr(waiting, "SNAPSHOT_SECONDS", 0.05)
    view, lines = screen(dumb_terminal)
    view.attached(plan())
    for state in ("1", "2"):
        log(view, "node1", 0, f"\r{state}%")
        log(view, "node2", 1, f"\r{state}%")
        deadline = time.monotonic() + 60
        while not lines() or not lines()[-1].endswith(f"{state}%"):
            assert time.monotonic() < deadline
            time.sleep(0.02)
    log(view, "node1", 0, "")
    time.sleep(0.3)
    log(view, "node1", 0, "\r100%\n")
    view._end_logs()

    assert [line for line in short(lines()) if line.startswith("node1:0")] == [
        "node1:0 │ 1%",
        "node1:0 │ 2%",
        "node1:0 │ 100%",
    ]
    assert [line for line in short(lines()) if line.startswith("node2:1")] == ["node2:1 │ 2%"]


# -- events -----------------------------------------------------------------------------------------


EVENTS = {
    "skipped": (
        {"host": "node1", "log": "rank-2.out", "size": 812_000_000},
        "node1:2 │ … 812 MB not shown; see the log on the node",
    ),
    "suspect": ({"host": "node2"}, "link node2 does not answer; the run continues, retrying"),
    "back": ({"host": "node2"}, "link node2 is back"),
    "lost": ({"host": "node2", "message": "gone\x1b for good"}, "lost node2 is lost: gone\\x1b for good"),
    "idle": ({"seconds": 600.0}, "idle no output for 600 s; stopping"),
    "restart": ({"attempt": 1, "of": 3, "replaced": {"node3": "node17"}}, "restart 1 of 3: node17 replaces node3"),
}


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("terminal", [True, False])
def test_events(screen, event, terminal):
    view, lines = screen(terminal)
    view.on_event({"event": event, **EVENTS[event][0]}, b"")
    view.close()

    assert short(lines()) == [EVENTS[event][1]]


def test_hosts_that_do_not_answer_share_a_line_on_a_terminal(screen, patient):
    view, lines = screen(terminal=True)
    for event in ("suspect", "back"):
        for host in ("node2", "node3"):
            view.on_event({"event": event, "host": host}, b"")
    log(view, "node1", 0, "x\n")
    view.close()

    assert short(lines()) == [
        "link node[2-3] do not answer; the run continues, retrying",
        "link node[2-3] are back",
        "node1:0 │ x",
    ]


def test_a_restarted_run_has_last_lines_of_its_own(screen):
    view, lines = screen()
    log(view, "node1", 0, "first try\n")
    view.on_event({"event": "restart", "attempt": 1, "of": 1}, b"")
    log(view, "node1", 0, "second try\n")
    view.errors = [Problem("RANK_FAILED", "failed", "node1", rank=0)]
    view.finish("failed", None, True)

    assert lines()[lines().index("last lines of node1 rank 0:") + 1 :][:2] == ["  second try", ""]


# -- the table --------------------------------------------------------------------------------------


def test_a_table_is_drawn_below_the_story_until_the_job_prints(screen, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    view, lines = screen(terminal=True, stages=stage_table.STAGES)
    for host in HOSTS:
        view.on_event({"event": "probed", "host": host, "answered": True}, b"")
    view.planned(plan(), ())
    log(view, "node1", 0, "x\n")
    view.on_event({"event": "lost", "host": "node2"}, b"")
    view.close()
    seen = pyte.Screen(120, 50)
    pyte.Stream(seen).feed(sys.stdout.getvalue().replace("\n", "\r\n"))
    drawn = [line for line in lines() if "node1" in line and "✓" in line]

    assert drawn[-1].split() == ["node1", "✓", "·", "·", "·"]
    assert short(line for line in seen.display if line.strip()) == [
        "probe 3 nodes answered",
        "plan 3 × 1 = 3 ranks on ib0, master 10.0.0.1:1",
        "node1:0 │ x",
        "lost node2 is lost",
    ]


@pytest.mark.parametrize(
    ("terminal", "term", "stages"), [(False, "xterm", ["probe"]), (True, "dumb", ["probe"]), (True, "xterm", [])]
)
def test_nothing_is_drawn_elsewhere(screen, monkeypatch, terminal, term, stages):
    monkeypatch.setenv("TERM", term)
    view, lines = screen(terminal, stages=stages)
    view.on_event({"event": "probed", "host": "node1", "answered": True}, b"")
    view.close()

    assert not lines()


# -- the end ----------------------------------------------------------------------------------------


def test_the_end_of_a_failure(screen):
    view, lines = screen()
    log(view, "node1", 3, "giving up\n")
    view.errors = [Problem("RANK_FAILED", "rank 3 failed", "node1", remedy="see madctl logs r --rank 3", rank=3)]
    data = {"victims": {"node2": 3, "node3": 4}, "world_size": 8, "nodes": [{"run_dir": "/r"}], "duration_seconds": 2}
    view.finish("failed", data, True, error_text="ValueError: bad\nshape\n", logs="madctl logs r --rank 3")

    assert lines()[1:] == [
        "",
        "error of node1 rank 3:",
        "  ValueError: bad",
        "  shape",
        "",
        "last lines of node1 rank 3:",
        "  giving up",
        "",
        "madctl: node1: rank 3 failed [RANK_FAILED]",
        "node[2-3]: 7 ranks then lost their peers",
        "done    failed after 2.0 s on 3 nodes",
        "logs    madctl logs r --rank 3",
    ]


def test_an_error_text_of_many_lines_is_short(screen):
    view, lines = screen()
    view.errors = [Problem("RANK_FAILED", "failed", "node1", rank=3)]
    view.finish("failed", None, True, error_text="\n".join(map(str, range(100))))

    assert lines()[:4] == ["", "error of node1 rank 3:", "  0", "  1"]
    assert lines()[20:22] == ["  18", "  … 81 more lines"]


def test_no_error_text_no_heading(screen):
    view, lines = screen()
    view.errors = [Problem("RANK_FAILED", "failed", "node1", rank=3)]
    view.finish("failed", {"nodes": [{"run_dir": "/r"}], "victims": {}}, True)

    assert not [line for line in lines() if "error of" in line or "peer" in line]


# -- secrets ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("terminal", [True, False])
def test_secrets_are_shown_nowhere(screen, terminal):
    view, lines = screen(terminal, secrets=("hunter22", "two\nlines-of-it", "lines-of-it"))
    log(view, "node1", 0, "a hun")
    log(view, "node1", 0, "ter22 b\nlines-of-it\nhunter22")
    view.warnings = [Problem("W", "hunter22")]
    node = {"host": "node1", "nproc_per_node": 1, "interface": "hunter22"}
    view.planned({"nodes": [node], "nnodes": 1, "world_size": 1, "master_addr": "x", "master_port": 1}, ())
    view.on_event({"event": "lost", "host": "node1", "message": "hunter22"}, b"")
    view.errors = [Problem("RANK_FAILED", "hunter22", "node1", "not hunter22", rank=0)]
    view.finish("failed", {"nodes": [{"run_dir": "/hunter22"}]}, True, "E: hunter22\ntwo\nlines-of-it")
    shown = "\n".join(lines())

    assert "hunter22" not in shown and "lines-of-it" not in shown
    assert "a *** b" in shown and "notice  *** [W]" in shown and "E: ***" in shown
    assert "node1: ***; not *** [RANK_FAILED]" in shown


def test_data_is_masked(screen):
    view, _ = screen(secrets=("hunter22",))

    assert view.masked({"env": {"A": "hunter22"}}) == {"env": {"A": "***"}}
    assert view.masked([Problem("C", "hunter22")]) == [Problem("C", "***")]


def test_a_command_that_detaches_does_not_wait_for_the_screen(screen):
    view, _ = screen()
    held, leave = threading.Event(), threading.Event()

    def hold():
        with view._lock:  # As a thread does that writes to a screen that takes nothing.
            held.set()
            leave.wait(120)

    holder = threading.Thread(target=hold, daemon=True)
    holder.start()
    held.wait(60)
    view.interrupted(b"d")
    ended = threading.Thread(target=lambda: view.finish("interrupted", None, True), daemon=True)
    ended.start()
    ended.join(60)
    is_held_up = ended.is_alive()
    leave.set()

    assert not is_held_up


def test_an_attached_command_may_leave_before_all_is_known():
    record = types.SimpleNamespace(plan={})
    session = RunSession(None, {}, None, record)
    session.final = {"detached": True, "summary": {}}

    assert session.detached
    launch = RunSession(None, {}, None)
    launch.final = session.final
    assert not launch.detached

# SPDX-License-Identifier: Apache-2.0
"""Lines on their way to the screen: cut, bounded, folded without a clock."""

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.madctl.multinode.plugins.module_utils._show.job_lines import Logs, harmless, size
from ansible_collections.madctl.multinode.plugins.module_utils._show.masking import Mask
from ansible_collections.madctl.multinode.plugins.module_utils._show.rows import CUT, split
from madctl.screen import lines
from madctl.screen.lines import Line, Ticker, Window, excerpt
from tests.integration.command import wait_for

LINES = {
    b"plain": "plain",
    "ünï".encode(): "ünï",
    b"\xff\xfe": "\\xff\\xfe",
    b"\x1b[2J": "\\x1b[2J",
    b"nul\x00": "nul\\x00",
    b"10%\r50%\r100%": "100%",
    b"dos\r": "dos",
    b"a\tb": "a\tb",
}
NONE = Mask()


@pytest.mark.parametrize("line", LINES)
def test_no_byte_moves_the_cursor(line):
    assert harmless(line) == LINES[line]


# -- cutting ----------------------------------------------------------------------------------------


def cut(chunks, longest, mask=NONE):
    """Return all lines, the rest last, and the most that was held between two chunks."""
    lines, rest, held = [], b"", 0
    for chunk in chunks:
        found, rest = split(rest, chunk, mask, longest)
        lines += found
        held = max(held, len(rest))
    return [*lines, rest], held


@given(st.lists(st.text("ab\n", max_size=8).map(str.encode)))
def test_lines_do_not_depend_on_chunks(chunks):
    assert cut(chunks, 1000)[0] == b"".join(chunks).split(b"\n")


@given(st.text("abé…", min_size=20, max_size=200), st.integers(1, 30), st.integers(8, 16), st.booleans())
def test_a_long_line_comes_in_marked_pieces_of_whole_characters(text, chunk, longest, ended):
    line = text.encode() + b"\n" * ended
    lines, held = cut([line[at : at + chunk] for at in range(0, len(line), chunk)], longest)
    pieces = [piece.decode() for piece in (lines[:-1] if ended else lines)]

    assert "".join(piece.removesuffix(CUT) for piece in pieces[:-1]) + pieces[-1] == text or "…" in text
    assert all(piece.endswith(CUT) for piece in pieces[:-1])
    assert all(len(piece.removesuffix(CUT).encode()) <= longest for piece in pieces)
    assert held <= longest


def test_fifty_megabytes_without_a_newline_are_not_held():
    logs, shown = Logs(NONE), 0
    for _ in range(800):
        shown += sum(len(line) - len(CUT) for line in logs.feed("n", "rank-0.out", b"x" * 65536))

    assert shown > 800 * 65536 - 70000
    assert len(logs.end()[0][2]) <= 65536


def test_a_progress_bar_that_never_ends_is_not_held_and_shows_its_last_state():
    bars = {b"\r%5d%%": "19999%", b"%5d%%\r": "19999%"}
    for bar, last in bars.items():
        lines, held = cut([bar % number for number in range(20000)], 100)

        assert held <= 100
        assert [harmless(line) for line in lines] == [last]


def test_a_long_line_with_states_shows_the_last_one():
    lines, _ = cut([b"x" * 90 + b"\r" + b"y" * 90 + b"\rlast\n"], 100)
    assert list(map(harmless, lines)) == ["last", ""]
    assert cut([b"\r" * 1000], 100) == ([b"\r"], 1)


SECRETS = ("hunter22", "22-and-more")


@given(
    st.lists(st.sampled_from([*SECRETS, "hunter22-and-more", "x", "yyy", "hunt", "\n"]), max_size=12).map("".join),
    st.integers(1, 9),
    st.integers(20, 40),
)
def test_no_cut_lets_a_part_of_a_secret_through(text, chunk, longest):
    mask, data = Mask(SECRETS), text.encode()
    lines, held = cut([data[at : at + chunk] for at in range(0, len(data), chunk)], longest, mask)
    shown = b"".join(mask.line(line) for line in lines).decode().replace(CUT, "")

    # What is left of a word that is masked as a whole wherever no cut comes near it.
    assert shown.replace("***", "") == mask.text(text).replace("***", "").replace("\n", "")
    assert held <= longest + mask.longest


def test_ends_are_returned_by_host_and_log():
    logs = Logs(NONE)
    assert logs.feed("a", "rank-0.out", b"one\ntw") == ["one"]
    logs.feed("b", "rank-1.out", b"three")
    logs.feed("b", "rank-1.err", b"four")

    assert logs.end("a") == [("a", "rank-0.out", "tw")]
    assert logs.end("b", "rank-1.err") == [("b", "rank-1.err", "four")]
    assert logs.end() == [("b", "rank-1.out", "three")]
    assert logs.end() == []


# -- folding ----------------------------------------------------------------------------------------


def line(text, *sources, kind="line"):
    return Line(kind, text, list(sources))


A0, A1, B2, B3 = ("node1", "0"), ("node1", "1"), ("node2", "2"), ("node2", "3")


def fed(window, *entries):
    for now, source, text in entries:
        window.feed(now, source, text)
    return window


def test_equal_lines_within_the_window_are_one():
    window = fed(Window(0.2), *((0.05 * at, source, "epoch 3") for at, source in enumerate((A0, A1, B2, B3))))

    assert list(window.due(0.19)) == []
    assert window.next_due() == 0.2
    (found,) = window.due(0.2)
    assert (found.label, found.text) == ("node[1-2] ×4", "epoch 3")
    assert window.next_due() is None


def test_equal_lines_of_different_times_are_two():
    window = fed(Window(0.2), (0.0, A0, "epoch 3"))
    first = list(window.due(0.2))
    fed(window, (0.21, B2, "epoch 3"))

    assert [entry.label for entry in [*first, *window.due(1)]] == ["node1:0", "node2:2"]


def test_first_appearance_orders_and_one_source_keeps_order_and_number():
    window = fed(Window(), (0, A0, "a"), (0, B2, "b"), (0, A0, "b"), (0, A0, "a"), (0, B2, "a"), (0, B2, "b"))

    assert list(window.due(9)) == [
        line("a", A0),
        line("b", B2, A0),
        line("a", A0, B2),
        line("b", B2),
    ]


def test_other_kinds_do_not_mix():
    window = fed(Window(), (0, A0, ""))
    window.feed(0, ("node2", ""), "", "suspect")

    assert list(window.due(9)) == [line("", A0), line("", ("node2", ""), kind="suspect")]


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([A0, A1, B2, B3]), st.sampled_from("abc"))), st.booleans())
def test_nothing_is_lost_or_out_of_order(entries, small):
    window = Window(0.2, 1000 if small else 4 << 20)
    now, found = 0.0, []
    for steps, source, text in entries:
        now += steps * 0.07
        window.feed(now, source, text)
        found += window.due(now)
    found += window.due(float("inf"))

    for source in (A0, A1, B2, B3):
        assert [x.text for x in found for one in x.sources if one == source] == [
            t for _, s, t in entries if s == source
        ]


def test_many_lines_do_not_wait():
    window, given_early = Window(0.2, 100_000), 0
    for number in range(5000):
        window.feed(0, A0, f"{number} " + "x" * 100)
        given_early += len(list(window.due(0)))

    assert given_early > 4500
    assert given_early + len(list(window.due(9))) == 5000
    assert window._size == 0 and not window._numbers and not window._lines


LABELS = {
    (("node2", "1"),): "node2:1",
    (("node2", ""),): "node2",
    (("node1", "0"), ("node1", "1")): "node1 ×2",
    (("node1", ""), ("node2", "")): "node[1-2] ×2",
    tuple((f"fd00::{n:x}", str(r)) for n in range(16) for r in range(2)): "16 nodes ×32",
}


@pytest.mark.parametrize("sources", LABELS, ids=LABELS.values())
def test_labels(sources):
    assert Line("line", "x", list(sources)).label == LABELS[sources]


# -- the edge ---------------------------------------------------------------------------------------


def test_lines_are_shown_though_nothing_more_comes():
    shown, lock, done = [], threading.RLock(), threading.Event()
    ticker = Ticker(Window(0.02), lambda entry: (shown.append(entry.label), done.set()), lock)
    for labels in (["node1:0"], ["node1:0", "node1:0"]):  # the second time, the thread sleeps already
        ticker.add(A0, "x")
        assert done.wait(60)
        assert shown == labels
        done.clear()
        time.sleep(0.05)


def test_flush_shows_everything_at_once():
    shown = []
    ticker = Ticker(Window(100), lambda entry: shown.append(entry.text), threading.RLock())
    ticker.add(A0, "x")
    ticker.add(A1, "y")
    assert shown == []
    ticker.flush()
    assert shown == ["x", "y"]


def test_a_flush_within_showing_keeps_the_order():
    shown = []

    def show(entry):
        if entry.text == "x":
            ticker.flush()  # as a signal does
        shown.append(entry.text)

    ticker = Ticker(Window(100), show, threading.RLock())
    for text in "axyz":
        ticker.add(A0, text)
    ticker.flush()
    assert sorted(shown) == ["a", "x", "y", "z"]
    assert shown[0] == "a"


def test_a_ticker_without_anything_to_do_has_no_thread_until_there_is(monkeypatch):
    monkeypatch.setattr(lines, "_IDLE_SECONDS", 0.01)
    shown, done = [], threading.Event()
    ticker = Ticker(Window(0.02), lambda entry: (shown.append(entry.text), done.set()), threading.RLock())
    for text in ("x", "y"):
        ticker.add(A0, text)
        assert done.wait(60)
        done.clear()
        wait_for(lambda: ticker._thread is None)
    assert shown == ["x", "y"]


def test_drawings_that_come_fast_are_one():
    drawn, shown = threading.Event(), []
    lock = threading.RLock()
    ticker = Ticker(Window(100), lambda _: None, lock, lambda: (shown.append(len(shown)), drawn.set()))
    with lock:
        for _ in range(1000):
            ticker.redraw()
    assert drawn.wait(60)
    drawn.clear()
    assert not drawn.wait(0.3) and shown == [0]
    ticker.redraw()
    assert drawn.wait(60) and shown == [0, 1]


# -- words ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1500, "1.5 kB"),
        (812_000_000, "812 MB"),
        (999_999, "1.0 MB"),
        (5e13, "50.0 TB"),
    ],
)
def test_sizes(count, text):
    assert size(count) == text


def test_an_excerpt_is_harmless_and_short():
    assert excerpt("\x1b[2J\n" + "x" * 10 + "\n", 20, 5) == ["\\x1b[2J"[:5] + CUT, "xxxxx" + CUT]
    assert excerpt("\n".join("abcde"), 5, 9) == list("abcde")
    assert excerpt("\n".join("abcdef"), 5, 9) == [*"abcd", "… 2 more lines"]
    assert excerpt(" \n", 5, 9) == [" "]
    assert excerpt("", 5, 9) == []

# SPDX-License-Identifier: Apache-2.0
"""The page about a run: of real runs, in a real browser."""

import html
import re
from pathlib import Path

import pytest

from madctl.report import page
from tests.integration import browser as browsers
from tests.integration.command import madctl
from tests.unit.madctl.report import runs

WIDE, NARROW = (1600, 900), (400, 800)


def check(browser, path, size, scheme="light"):
    """Look at a page as somebody does whose browser runs no scripts: nothing is loaded, complained about or too wide."""
    browser.size(*size, scheme, scripts=False)
    browser.open(path)
    assert browser.complaints() == []
    assert browser.requests() == [Path(path).resolve().as_uri()]
    assert browser.width() <= size[0]


def is_seen(browser, selector, size):
    """Return whether an element is in the window before anybody scrolls."""
    box = browser.box(selector)
    return box is not None and 0 <= box["top"] < box["bottom"] <= size[1] and box["right"] <= size[0]


HOSTILE = [
    "</script><script>document.title='pwned'</script>",
    "\"><img src=x onerror=document.title='pwned'>",
    "<style>*{display:none}</style>",
    "</pre></figure></details></main></body>",
    "\u202e\u2066 gnp.exe",
    "\x1b[2J\x07",
]


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Pages about runs of all kinds, and one with hostile texts."""
    directory = tmp_path_factory.mktemp("pages")
    made = {name: page.render(case()) for name, case in runs.CASES.items()}
    made["large"] = page.render(runs.failed(64, 8, 291))
    facts = runs.failed(note=" ".join(HOSTILE))
    logs = [log.__class__(log.host, log.rank, log.stream, [*HOSTILE, *log.lines]) for log in facts.logs]
    cause = {"cause": f"{facts.run['cause']} {HOSTILE[1]}"}
    made["hostile"] = page.render(facts.__class__(**{**vars(facts), "logs": logs, "run": {**facts.run, **cause}}))
    for name, text in made.items():
        (directory / f"{name}.html").write_text(text)
    return {name: directory / f"{name}.html" for name in made}


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("name", [*runs.CASES, "large", "hostile"])
def test_a_page_can_be_read_at_any_width(browser, pages, name, size):
    for scheme in ("light", "dark"):
        check(browser, pages[name], size, scheme)
        assert is_seen(browser, "#verdict", size)
        if name in ("failed", "large", "lost"):
            assert is_seen(browser, "#cause", size)
        if name in ("failed", "large", "hostile"):
            box = browser.box("#last")
            assert box["top"] < size[1] - 100, "its last lines begin where they are seen"


def test_light_and_dark_differ_and_texts_stand_out(browser, pages):
    script = "const s = getComputedStyle(document.body); return [s.color, s.backgroundColor]"
    for scheme in ("light", "dark"):
        browser.size(*WIDE, scheme)
        browser.open(pages["failed"])
        ink, paper = (sum(map(int, re.findall(r"\d+", one)[:3])) / 3 for one in browser.run(script))
        assert (ink < paper) is (scheme == "light")
        assert abs(ink - paper) > 150


def test_hostile_texts_are_only_read(browser, pages):
    browser.size(*WIDE, scripts=True)
    browser.open(pages["hostile"])

    assert browser.run("return document.title") == f"{runs.RUN}: Failed after 60 s"
    assert browser.run("return document.querySelectorAll('img, script').length") == 0
    assert HOSTILE[0] in browser.text("#last") and "\\u202e" in browser.text("#last")
    assert HOSTILE[1] in browser.text("#cause")
    assert "To see more" in browser.text()
    assert browser.complaints() == []


def test_a_table_that_is_too_wide_moves_alone(browser, pages):
    browser.size(*NARROW)
    browser.open(pages["failed"])
    script = "return [...document.querySelectorAll('.wide')].map(one => one.scrollWidth > one.clientWidth)"

    assert any(browser.run(script)), "otherwise this proves nothing"
    assert browser.width() <= NARROW[0]


# -- real runs ---------------------------------------------------------------------------------------


@pytest.mark.lab
def test_a_run_that_failed_has_a_page_and_collect_writes_it_too(launch, on, tmp_path, own_records, request):
    failed = launch("--", "fail.py", "1")
    assert failed.code == 6
    run_id = failed.json["run_id"]
    place = tmp_path / "run.html"
    done = madctl("report", "--to", str(place), "--output", "json")

    assert (done.code, done.json["status"], done.json["errors"], done.json["warnings"]) == (0, "succeeded", [], [])
    assert done.json["data"]["report"] == str(place) and done.json["data"]["missing"] == []
    text = html.unescape(place.read_text())
    assert text.index("node2 rank 1: exit code 7") < text.index("giving up") < text.index("Timeline")
    # Not that both joined: the other rank may be stopped before it does.
    for part in (
        f"madctl logs {run_id} --rank 1",
        "2 nodes answered",
        "started on 2 nodes",
        "no GPU on any node",
        "torch",
    ):
        assert part in text
    assert not re.search("Incomplete|Nobody followed|is not known", text)
    collected = madctl("collect", "--to", str(tmp_path / "run"), "--output", "json")
    assert (collected.code, collected.json["data"]["report"]) == (0, str(tmp_path / "run" / "report.html"))
    assert "node2 rank 1: exit code 7" in (tmp_path / "run" / "report.html").read_text()
    if browsers.is_there():
        check(request.getfixturevalue("browser"), place, NARROW)
        assert is_seen(request.getfixturevalue("browser"), "#cause", NARROW)
    assert "is a directory" in madctl("report", "--to", str(tmp_path)).err
    # Of a run that was followed elsewhere, what the nodes keep is enough.
    (story,) = (tmp_path / "state" / "madctl" / "runs").glob("*.story")
    assert story.stat().st_mode & 0o777 == 0o600 and "giving up" not in story.read_text()
    story.unlink()
    assert madctl("report", run_id, "--to", str(place)).code == 0
    alone = html.unescape(place.read_text())
    assert "Nobody followed the start" in alone and "node2 rank 1: exit code 7" in alone


@pytest.mark.lab
def test_a_run_that_goes_on_and_a_node_that_is_gone(detached_command, on, tmp_path):
    done = madctl("report", cwd=tmp_path)
    place = tmp_path / f"madctl-{detached_command}.html"
    assert (done.code, done.out) == (0, f"{place}\n"), done.err
    assert "Running for" in place.read_text() and "madctl attach" in place.read_text()
    on("node2", "ip", "link", "set", "eno1", "down")
    try:
        done = madctl("report", "--to", "-")
    finally:
        on("node2", "ip", "link", "set", "eno1", "up")

    assert (done.code, "node2: " in done.err, "NODE_SILENT" in done.err) == (0, True, True), done.err
    assert "Incomplete." in done.out and "started on 2 nodes" in done.out and done.out.endswith("</html>")

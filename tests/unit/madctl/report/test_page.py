# SPDX-License-Identifier: Apache-2.0
"""The page: what is on it, that no text becomes more than text, and that it stays small."""

import dataclasses
import os
import re
import stat
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import events
from madctl.errors import Problem, UsageError
from madctl.records.run_story import Entry
from madctl.report import page, sections, writing
from madctl.report.facts import Log
from tests import hostile
from tests.unit.madctl.report import runs

MARKUP = {
    "script": "</script><script>alert(1)</script>",
    "image": '"><img src=x onerror=alert(1)>',
    "quote": "' onmouseover='alert(1)",
    "style": "</style><style>*{display:none}",
    "comment": "<!-- ",
    "end of a log": "</pre></details></main>",
    "entity": "&lt;b&gt;&#x202e;",
    "escapes": "\\u202e\\x3cscript\\x3e",
    "right to left": "\u202egnp.exe\u2066 \u200f\u061c",
    "control": "\x00\x08\x1b[31m\x7f\x9b",
    "surrogate": "\udcff\ud800",
    "Jinja": "{{ 7 * 7 }}{% raw %}{#",
    "not a character": "\ufffe\U000e0001\ufeff",
}


class Structure(HTMLParser):
    """Elements with their attributes, and all text, as a browser sees them."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.texts, self._inside = [], [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, tuple(sorted(name for name, _ in attrs)), dict(attrs).get("class")))
        self._inside = tag

    def handle_endtag(self, tag):
        self.elements.append((f"/{tag}",))

    def handle_data(self, data):
        if self._inside != "style":
            self.texts.append(data)


def rendered(name):
    return page.render(runs.CASES[name]())


# -- what is on it ---------------------------------------------------------------------------------


def words(text):
    return " ".join(" ".join(Structure(text).texts).split())


def test_the_cause_and_its_last_lines_come_first():
    found = words(rendered("failed"))

    assert found.index("Failed after 60 s") < found.index("gpu02 rank 3: exit code 1: ValueError: loss is nan")
    assert found.index("Last lines of gpu02 rank 3, stderr") < found.index("Timeline")
    assert 'File "train.py", line 96' in found


def test_both_streams_of_what_failed_are_shown_and_long_lines_are_cut():
    facts = runs.failed()
    own = [log for log in facts.logs if log.rank == "3"]
    assert [log.stream for log in own] == ["stdout", "stderr"]
    many = replace(facts, logs=[replace(own[0], lines=[f"step {n}" for n in range(99)]), replace(own[1], lines=["w"])])
    said = sections.verdict(many).said

    assert [one.source for one in said] == ["gpu02 rank 3, stderr", "gpu02 rank 3, stdout"]
    assert said[0].lines == ["w"] and said[1].lines[-1] == "step 98" and len(said[1].lines) == 13
    long = sections.verdict(replace(facts, logs=[replace(own[1], lines=["x" * 9999] * 99)])).said
    assert len(long[0].lines) == 14 and {len(line) for line in long[0].lines} == {502}
    assert sections.verdict(replace(facts, logs=())).said == []


@pytest.mark.parametrize("case", runs.CASES)
def test_every_run_has_a_page_that_loads_nothing(case):
    text = rendered(case)
    found = Structure(text)

    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in text
    assert not {"script", "img", "iframe", "object", "a", "form"} & {element[0] for element in found.elements}
    assert not re.search(r"https?://|url\(|@import|javascript:", text)
    tags = [element[0] for element in found.elements]
    void = {"meta", "link"}
    assert all(tags.count(tag) == tags.count(f"/{tag}") for tag in set(tags) - void if not tag.startswith("/"))


def test_what_is_missing_is_said_at_the_top():
    found = words(rendered("lost"))

    assert found.index("Incomplete.") < found.index("gpu02: it did not answer in 25 s; check that it is up")
    assert found.index("it did not answer") < found.index("Timeline")
    assert "Incomplete" not in words(rendered("failed"))


def test_a_run_of_which_only_the_record_is_left_says_so_in_each_section():
    found = words(rendered("bare"))

    for text in (
        "Unknown",
        "When what happened is not known",
        "What the checks found is not known",
        "No output is here",
    ):
        assert text in found
    assert "gpu[01-02]: it did not answer" in found, "one line for all nodes with the same reason"


def test_what_nobody_saw_is_said_to_be_unknown():
    facts = runs.succeeded()
    alone = [entry for entry in facts.entries if entry.event["event"] not in (events.PROBED, events.PLANNED)]

    assert "Nobody followed the start" not in words(page.render(facts))
    assert "Nobody followed the start" in words(page.render(replace(facts, entries=alone)))


def test_checks_and_fingerprints_are_tables_with_what_differs_first():
    facts = runs.succeeded()
    other = {**runs.PRINT, "torch": "2.12.0"}
    groups = [{"hosts": ["gpu01"], "row": runs.PRINT}, {"hosts": ["gpu02"], "row": other}]
    checks = [{"hosts": ["gpu01", "gpu02"], "row": {**runs.ROW, "versions": "warn"}}]
    planned = Entry(runs.BEGAN + 2, 1, {"event": events.PLANNED, "found": {"prints": groups, "checks": checks}})
    table = sections.fingerprint([planned])

    assert table.rows[0] == ["torch", "2.13.0", "2.12.0"]
    assert ["gpu models", "8 × H200"] in table.rows
    assert sections.checks([*facts.entries, planned]).rows == [["gpu[01-02]", "ok", "ok", "warn", "ok"]]
    assert sections.checks([planned]).head == ["nodes", "reach", "network", "versions"], (
        "nothing began, nothing is proven"
    )


def test_the_code_that_was_sent_is_named_if_the_record_knows_it():
    known = {"commit": "0123456789abcdef", "branch": "main", "dirty": True, "dir": "/home/me/x"}

    assert sections.code(known) == "0123456789ab on main with changes that are not committed from /home/me/x"
    for odd in (None, 3, "x", [], {}, {"commit": 7, "branch": None}):
        assert not sections.code(odd)


# -- texts stay texts ------------------------------------------------------------------------------

KEPT = {
    *(kind for table in (events.TOLD_BY_NODES, events.TOLD_BY_FOLLOWER) for kind in table),
    *("ok", "warn", "FAIL", "-", "failed", "exited", "RANK_FAILED", "script", "torchrun", "stdout", "stderr"),
}
KEYS = {"gpu01", "gpu02", "gpu09", *runs.PRINT}


def poisoned(value, text):
    """Put a text in front of every text that comes from files, nodes and jobs, also where it is a key."""
    if isinstance(value, str):
        return value if value in KEPT else text + value
    if isinstance(value, dict):
        return {text + key if key in KEYS else key: poisoned(one, text) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(poisoned(one, text) for one in value)
    if dataclasses.is_dataclass(value):
        fields = {field.name: poisoned(getattr(value, field.name), text) for field in dataclasses.fields(value)}
        return replace(value, **fields)
    return value


def full(text=""):
    """Return a run about which there is something to say in every place."""
    facts = runs.failed(name="llama", note="again")
    warning = {"code": "X", "host": "gpu01", "message": "kernel differs", "remedy": "r"}
    more = [Entry(runs.BEGAN + 1.2, 1, {**facts.entries[2].event, "warnings": [warning]})]
    more += [entry for entry in (*runs.restarted().entries, *runs.lost().entries) if entry.event["event"] != "planned"]
    job = {"on": "k8s", "id": "madctl-x", "namespace": "ns", "login": {"names": ["login1"]}}
    known = replace(facts.record, job=job, attempts=2)
    earlier = [{"attempt": 1, "cause": "requeued"}]
    missing = [Problem("NODE_SILENT", "no answer", "gpu01", "try again"), Problem("X", "no host")]
    logs = [*facts.logs, Log("gpu01", "", "stderr", ["\ta\tb", "x"], True)]
    entries = [*facts.entries, *more]
    found = replace(facts, record=known, entries=entries, earlier=earlier, missing=missing, logs=logs)
    status = {"status": found.run["status"], "name": "llama", "note": "again"}
    made = poisoned(found, text)
    return replace(made, run={**made.run, **poisoned(status, text), "status": found.run["status"]})


@pytest.mark.parametrize("name", [*MARKUP, *hostile.LANGUAGES])
def test_a_hostile_text_in_every_field_adds_no_element_and_no_attribute(name):
    text = {**MARKUP, **hostile.LANGUAGES}[name]
    plain, found = Structure(page.render(full("x"))), Structure(page.render(full(text)))

    assert found.elements == plain.elements
    assert not any(name.startswith("on") for element in found.elements for name in (element[1:2] or [()])[0])


@pytest.mark.parametrize("name", [*MARKUP, *hostile.LANGUAGES])
def test_no_character_that_changes_how_others_are_shown_is_on_the_page(name):
    text = {**MARKUP, **hostile.LANGUAGES}[name]
    found = "".join(Structure(page.render(full(text))).texts).replace("\n", "").replace("\t", "")

    assert hostile.is_harmless(found), [hex(ord(one)) for one in found if not one.isprintable()]
    page.render(full(text)).encode()


def test_a_poisoned_run_is_poisoned_everywhere():
    """Otherwise the two tests above prove nothing."""
    found = "".join(Structure(page.render(full("(X)"))).texts)

    for text in (
        *("(X)llama", "(X)again", "(X)gpu02", "(X)10.82.1.11", "(X)eth0", "(X)kernel differs", "(X)2.13.0", "(X)torch"),
        *("(X)no answer", "(X)try again", "(X)no host", "(X)requeued", "(X)madctl-x", "(X)ns", "(X)login1"),
        *("(X)epoch 1", "(X)ValueError: loss is nan", "(X)no node reaches it any more", "(X)train.py"),
    ):
        assert text in found, text


def test_the_template_passes_nothing_by_unescaped():
    text = Path(page.__file__).with_name("template.html.j2").read_text()

    assert not re.search(r"\|\s*safe|Markup|autoescape|<script|\son[a-z]+=|javascript:", text)


# -- size ------------------------------------------------------------------------------------------


def test_the_page_stays_small_and_the_log_of_the_failure_has_the_most_room():
    facts = runs.failed(64, 8, 291)
    long = ["<" * 300] * 900
    logs = [replace(log, lines=long) if log.stream == "stdout" else log for log in facts.logs]
    own = [replace(log, lines=[*long, "the last word"]) if log.stream == "stderr" else log for log in logs]
    text = page.render(replace(facts, logs=own))

    assert len(text.encode()) < page.MOST_BYTES
    first, other = re.findall(r">([^<>]+) rank (\d+)</span> <span class=\"soft\">(\w+), last (\d+) lines?<", text)[:2]
    assert first[:3] == ("gpu37", "291", "stderr") and int(first[3]) > 20 * int(other[3])
    assert "the last word" in text


def test_a_run_of_thousands_of_nodes_has_a_page():
    facts = runs.failed(3_000, 1, 7)
    text = page.render(replace(facts, logs=[replace(log, lines=["x" * 5000]) for log in facts.logs]))

    assert len(text.encode()) < page.MOST_BYTES
    assert "more logs would not fit" in words(text)


def test_long_words_of_a_user_are_cut():
    facts = runs.failed()
    text = page.render(replace(facts, run={**facts.run, "work": "train.py " + "x" * 500_000}))

    assert len(text.encode()) < 60_000


# -- where it is written ---------------------------------------------------------------------------


def test_a_page_replaces_another_as_a_whole_and_is_private(tmp_path):
    place = writing.place(str(tmp_path / "run.html"))
    writing.write(place, "one")
    other = os.open(place, os.O_RDONLY)
    writing.write(writing.place(place), "two\u2713")

    assert os.read(other, 10) == b"one", "who reads it goes on reading it"
    assert Path(place).read_text(encoding="utf-8") == "two✓"
    assert stat.S_IMODE(os.stat(place).st_mode) == 0o600
    assert os.listdir(tmp_path) == ["run.html"]


def test_a_link_is_followed_and_stays(tmp_path):
    (tmp_path / "link.html").symlink_to("real.html")
    writing.write(writing.place(str(tmp_path / "link.html")), "x")

    assert (tmp_path / "link.html").is_symlink() and (tmp_path / "real.html").read_text() == "x"


@pytest.mark.parametrize(
    ("path", "code", "cause"),
    [
        (".", "USAGE", "is a directory"),
        ("absent/run.html", "REPORT_UNWRITABLE", "there is no directory"),
        ("fifo", "USAGE", "is not a file"),
    ],
)
def test_what_cannot_take_a_page_is_refused(tmp_path, path, code, cause):
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(UsageError) as caught:
        writing.place(str(tmp_path / path))

    (problem,) = caught.value.problems
    assert problem.code == code and cause in problem.message


def test_a_page_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    def full_disk(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(UsageError, match="no space left on device") as caught:
        writing.write(str(tmp_path / "run.html"), "x")

    assert caught.value.problems[0].code == "REPORT_UNWRITABLE"
    assert os.listdir(tmp_path) == []

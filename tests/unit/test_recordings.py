# SPDX-License-Identifier: Apache-2.0
"""Recordings as moving pictures: what is shown when, and at the end."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from docs.recordings import frames, svg
from docs.recordings.frames import LONGEST_PAUSE, Run
from docs.recordings.scenes import SCENES

ROOT = Path(__file__).parents[2]
TEXT = "{http://www.w3.org/2000/svg}text"


def cast(*events, width=20, height=3):
    header = {"version": 2, "width": width, "height": height}
    return "\n".join(json.dumps(line) for line in (header, *([at, "o", data] for at, data in events)))


def test_a_line_is_shown_until_another_one_replaces_it():
    recording = frames.read(cast((0, "first\r\n"), (1, "0 %"), (2, "\r\x1b[32m100 %\x1b[0m")))

    assert [(line.row, line.start, line.end, line.runs) for line in recording.lines] == [
        (1, 1, 2, (Run(0, 3, "0 %", ""),)),
        (0, 0, None, (Run(0, 5, "first", ""),)),
        (1, 2, None, (Run(0, 5, "100 %", "green"),)),
    ]


def test_nobody_waits_longer_than_the_longest_pause():
    recording = frames.read(cast((0, "a"), (100, "b"), (100.5, "c")))

    assert recording.seconds == LONGEST_PAUSE + 0.5


def test_what_comes_at_once_is_shown_at_once():
    recording = frames.read(cast((0, "a"), (1, "b"), (1.05, "c"), (1.5, "d")))

    assert [line.runs[0].text for line in recording.lines] == ["a", "abc", "abcd"]


def test_lines_move_up_on_a_full_screen():
    recording = frames.read(cast((0, "1\r\n2\r\n3"), (1, "\r\n4")))

    assert [(line.row, line.runs[0].text) for line in recording.lines if line.end is None] == [
        (0, "2"),
        (1, "3"),
        (2, "4"),
    ]


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_commands_of_a_recording_are_those_of_its_scene(scene):
    header, *events = map(json.loads, scene.cast.read_text(encoding="utf-8").splitlines())
    written = re.sub(r"\s", "", "".join(data for _, _, data in events))

    assert (header["width"], header["height"]) == scene.size
    assert [command for command in scene.typed if re.sub(r"\s", "", command) not in written] == []


def test_the_tutorial_begins_with_a_recording():
    begin = (ROOT / "docs/tutorial.md").read_text().partition("\n## ")[0]

    assert re.search(r"!\[[^]]{40,}\]\(pictures/demo\.svg\)", begin)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_a_picture_is_small_whole_and_shows_the_end_to_who_wants_no_motion(scene):
    picture = svg.picture(scene)
    root = ElementTree.fromstring(picture)
    still = [text.text for group in root for text in group.iter(TEXT) if group.get("class") != "o"]
    last = [run.text for line in frames.read(scene.cast.read_text()).lines if line.end is None for run in line.runs]

    assert len(picture.encode()) < 150_000
    assert sorted(still) == sorted(last)
    assert "prefers-reduced-motion" in picture
    assert not re.search(r"(?:href|src|url\()", picture), "it loads nothing"


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_a_recording_names_no_file_of_the_machine_that_made_it(scene):
    named = re.findall(r'File \\"(/[^"\\]+)', scene.cast.read_text(encoding="utf-8"))

    assert [path for path in named if not path.startswith("/srv/madctl/")] == []

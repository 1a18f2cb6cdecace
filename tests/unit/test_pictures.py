# SPDX-License-Identifier: Apache-2.0
"""Drawings: words fit into their boxes, no arrow crosses a word, and the layers are those of the code."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from docs import generate
from docs.generators import drawing, layers
from docs.generators.drawing import Arrow, Box, Label

ROOT = Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"
DRAWINGS = ("architecture", "life_of_a_run", "mpirun", "mpirun_containers", "slurm", "kubernetes")


def words(root):
    """Yield each text of a drawing with the rectangle around it: left, top, right, bottom."""
    for text in root.iter(f"{SVG}text"):
        size = drawing.TITLE if text.get("class") == "title" else drawing.TEXT
        x, y, width = float(text.get("x")), float(text.get("y")), len(text.text) * size / 2
        left = x - {"middle": width / 2, "end": width}.get(text.get("text-anchor"), 0)
        yield text.text, (left, y - size * 0.7, left + width, y + 2)


def lines(root):
    """Yield the straight pieces of all arrows, as rectangles without an area."""
    for path in root.iter(f"{SVG}path"):
        if path.get("class") == "arrow":
            points = [tuple(map(float, pair)) for pair in re.findall(r"([\d.]+) ([\d.]+)", path.get("d"))]
            for one, other in zip(points, points[1:]):
                yield min(one[0], other[0]), min(one[1], other[1]), max(one[0], other[0]), max(one[1], other[1])


def crossed(root):
    """Return the texts that an arrow touches."""
    return {
        text
        for text, (left, top, right, bottom) in words(root)
        for x1, y1, x2, y2 in lines(root)
        if x1 < right and x2 > left and y1 < bottom and y2 > top
    }


@pytest.mark.parametrize("name", DRAWINGS)
def test_no_arrow_crosses_a_word_and_nothing_is_outside(name):
    root = ElementTree.fromstring(generate.PAGES[f"pictures/{name}.svg"]())
    width, height = float(root.get("width")), float(root.get("height"))

    assert len(list(words(root))) > 8
    assert crossed(root) == set()
    assert [text for text, (left, top, right, bottom) in words(root) if left < 4 or right > width - 4] == []
    assert [text for text, (left, top, right, bottom) in words(root) if top < 4 or bottom > height - 4] == []


def test_an_arrow_through_a_word_is_found():
    parts = (Label(10, 50, ("word",)), Arrow(((20, 0), (20, 100))))

    assert crossed(ElementTree.fromstring(drawing.picture("", "", (100, 100), parts))) == {"word"}


def test_a_word_that_does_not_fit_is_an_error():
    with pytest.raises(ValueError, match="does not fit"):
        Box(0, 0, 60, 54, "much too long").svg()


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_says_what_it_shows_follows_light_and_dark_and_is_on_a_page(name):
    drawn = generate.PAGES[f"pictures/{name}.svg"]()
    pages = [path.read_text() for path in ROOT.glob("docs/explanation/*.md")]

    assert re.search(r'<title id="title">.+</title>\n<desc id="desc">.{40,}</desc>', drawn)
    assert "prefers-color-scheme:dark" in drawn
    assert any(re.search(rf"!\[[^]]{{40,}}\]\(\.\./pictures/{name}\.svg\)", page) for page in pages)


def test_layers_are_the_packages_of_the_core_logic():
    packages = {path.name for path in (ROOT / "plugins/module_utils").glob("_[a-z]*") if path.is_dir()}

    assert {name for floor in layers.floors() for name in floor} == packages
    assert layers.floors()[0] == ("_common",)

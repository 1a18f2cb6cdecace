# SPDX-License-Identifier: Apache-2.0
"""
Boxes, arrows and words as one SVG, which follows the reader's light or dark theme.

Text stays text. A word that does not fit into its box is an error, since pictures are not reviewed after each change.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

Point = tuple[float, float]
TITLE, TEXT, _LEADING = 16, 14, 19
# Wider than the average of common fonts.
_EM = {TITLE: 0.58, TEXT: 0.52}
_MARGIN = 6
_STYLE = """\
svg{--paper:#fff;--edge:#d5dae1;--area:#f4f6f9;--box:#fff;--line:#8a94a3;--ink:#1d2430;--soft:#566072;--key:#2f62c9;\
--key-box:#eaf1ff;--end:#1a7f4b;--end-box:#e7f6ee}
@media (prefers-color-scheme:dark){svg{--paper:#14171c;--edge:#343a43;--area:#1b2027;--box:#242a33;--line:#7d8897;\
--ink:#e6e9ee;--soft:#a7b0bd;--key:#8db4ff;--key-box:#1d2b47;--end:#7ee2a0;--end-box:#173324}}
text{font:14px system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",sans-serif;fill:var(--soft)}
.title{font-size:16px;font-weight:600;fill:var(--ink)}
.label{fill:var(--key)}
.paper{fill:var(--paper);stroke:var(--edge)}
.area{fill:var(--area);stroke:var(--edge)}
.box{fill:var(--box);stroke:var(--line)}
.key{fill:var(--key-box);stroke:var(--key)}
.end{fill:var(--end-box);stroke:var(--end)}
.arrow{fill:none;stroke:var(--key);stroke-width:1.6}
.head{fill:var(--key)}
"""
_HEAD = (
    '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path class="head" d="M0 0 8 4 0 8z"/></marker>'
)


@dataclass(frozen=True)
class Box:
    """A box with a title and lines below it. Its kind is ``box``, ``key``, ``end``, or ``area`` around others."""

    x: float
    y: float
    width: float
    height: float
    title: str = ""
    lines: tuple[str, ...] = ()
    kind: str = "box"

    def svg(self) -> str:
        """Return the box as SVG; the text of an area is at its top left."""
        widest = max([_width(self.title, TITLE), *(_width(line, TEXT) for line in self.lines)])
        if widest + 2 * _MARGIN > self.width or self._text_height() > self.height:
            raise ValueError(f"{self.title or self.lines}: {widest:.0f} does not fit into {self.width} x {self.height}")
        is_area = self.kind == "area"
        x, anchor = (self.x + 14, "start") if is_area else (self.x + self.width / 2, "middle")
        y = self.y + 24 if is_area else self.y + (self.height - self._text_height()) / 2 + TEXT
        texts = [_text(x, y, self.title, "title", anchor)] if self.title else []
        first = y + _LEADING if self.title else y
        texts += [_text(x, first + _LEADING * at, line, "", anchor) for at, line in enumerate(self.lines)]
        frame = f'<rect class="{self.kind}" x="{self.x:g}" y="{self.y:g}" width="{self.width:g}"'
        return "\n".join([f'{frame} height="{self.height:g}" rx="{10 if is_area else 7}"/>', *texts])

    def _text_height(self) -> float:
        return _LEADING * (len(self.lines) + bool(self.title))


@dataclass(frozen=True)
class Arrow:
    """A line through points, with a head at its end."""

    points: tuple[Point, ...]

    def svg(self) -> str:
        """Return the arrow as SVG."""
        path = " ".join(f"{x:g} {y:g}" for x, y in self.points)
        return f'<path class="arrow" d="M{path}" marker-end="url(#head)"/>'


@dataclass(frozen=True)
class Label:
    """Lines of text beside an arrow, the first one at ``y``."""

    x: float
    y: float
    lines: tuple[str, ...]
    anchor: str = "start"
    kind: str = "label"

    def svg(self) -> str:
        """Return the lines as SVG."""
        return "\n".join(
            _text(self.x, self.y + _LEADING * at, line, self.kind, self.anchor) for at, line in enumerate(self.lines)
        )


Part = Box | Arrow | Label


def picture(title: str, description: str, size: tuple[int, int], parts: Sequence[Part]) -> str:
    """Return a drawing with a title and a description for readers who cannot see it."""
    width, height = size
    drawn = "\n".join(part.svg() for part in parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
        ' role="img" aria-labelledby="title desc">\n'
        f'<title id="title">{escape(title)}</title>\n<desc id="desc">{escape(description)}</desc>\n'
        f"<style>\n{_STYLE}</style>\n<defs>{_HEAD}</defs>\n"
        f'<rect class="paper" x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="10"/>\n{drawn}\n</svg>\n'
    )


def _width(text: str, size: int) -> float:
    return len(text) * size * _EM[size]


def _text(x: float, y: float, text: str, kind: str, anchor: str) -> str:
    attributes = (f' class="{kind}"' if kind else "") + (f' text-anchor="{anchor}"' if anchor != "start" else "")
    return f'<text x="{x:g}" y="{y:g}"{attributes}>{escape(text, quote=False)}</text>'

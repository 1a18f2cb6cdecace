# SPDX-License-Identifier: Apache-2.0
"""
A recording as an animated SVG, whose lines appear and disappear by CSS alone, so that it plays in ``<img>``.

Readers who prefer reduced motion, and programs without support for animation, see the last frame.
"""

from html import escape

from docs.recordings.frames import Line, Recording, Run, read
from docs.recordings.scenes import Scene

_WIDTH, _HEIGHT, _SIZE, _MARGIN = 8.4, 19, 14, 16
_PAUSE = 6.0  # At the end, before it starts over.
_COLORS = {
    "red": "#ff8b82",
    "green": "#7ee2a0",
    "brown": "#e8c268",
    "blue": "#7fb7ff",
    "magenta": "#d2a8ff",
    "cyan": "#7bd5e0",
    "brightblack": "#8d96a3",
    "bold": "#ffffff",
}
_STYLE = """\
.panel{{fill:#14171c;stroke:#343a43}}
text{{font:{size}px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono","Liberation Mono",monospace;\
fill:#d3d8df;white-space:pre}}
g{{animation:{seconds}s step-end infinite}}
.o{{visibility:hidden}}
{colors}
{keyframes}
@media (prefers-reduced-motion:reduce){{g{{animation:none!important}}}}
"""


def picture(scene: Scene) -> str:
    """Return the SVG of a scene's recording."""
    recording = read(scene.cast.read_text(encoding="utf-8"))
    width = round(recording.columns * _WIDTH + 2 * _MARGIN)
    height = recording.rows * _HEIGHT + 2 * _MARGIN
    # Lines that appear and disappear together share their times.
    times = sorted({(line.start, line.end or -1.0) for line in recording.lines})
    groups = [_group(number, time, recording) for number, time in enumerate(times)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}" role="img"'
        ' aria-labelledby="title desc">\n'
        f'<title id="title">{escape(scene.title)}</title>\n<desc id="desc">{escape(scene.description)}</desc>\n'
        f"<style>\n{_style(times, recording)}</style>\n"
        f'<rect class="panel" x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="8"/>\n'
        f"{''.join(groups)}</svg>\n"
    )


def _style(times: list[tuple[float, float]], recording: Recording) -> str:
    seconds = recording.seconds + _PAUSE
    colors = "\n".join(f".{name}{{fill:{color}}}" for name, color in _COLORS.items())
    keyframes = "\n".join(_keyframes(number, start, end, seconds) for number, (start, end) in enumerate(times))
    return _STYLE.format(size=_SIZE, seconds=f"{seconds:g}", colors=colors, keyframes=keyframes)


def _keyframes(number: int, start: float, end: float, seconds: float) -> str:
    """Return the rule that shows a group from one time to another."""
    steps = ["0%{visibility:hidden}"] if start else []
    steps.append(f"{100 * start / seconds:.2f}%{{visibility:visible}}")
    if end >= 0:
        steps.append(f"{100 * end / seconds:.2f}%{{visibility:hidden}}")
    return f"@keyframes k{number}{{{''.join(steps)}}}"


def _group(number: int, time: tuple[float, float], recording: Recording) -> str:
    start, end = time
    lines = [line for line in recording.lines if (line.start, line.end or -1.0) == time]
    attribute = ' class="o"' if end >= 0 else ""
    return f'<g{attribute} style="animation-name:k{number}">\n{"".join(map(_line, lines))}</g>\n'


def _line(line: Line) -> str:
    y = _MARGIN + line.row * _HEIGHT + _SIZE
    return "".join(_text(run, y) for run in line.runs)


def _text(run: Run, y: int) -> str:
    # The length keeps columns where they are, whatever the reader's font.
    attribute = f' class="{run.style}"' if run.style else ""
    x, length = _MARGIN + run.column * _WIDTH, run.columns * _WIDTH
    return f'<text x="{x:g}" y="{y}" textLength="{length:g}"{attribute}>{escape(run.text, quote=False)}</text>\n'

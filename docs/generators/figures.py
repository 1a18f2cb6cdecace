# SPDX-License-Identifier: Apache-2.0
"""The figures of the page about scale, from the output of the last run of ``tests/bench/cost.py``."""

import re
from pathlib import Path

COST = Path(__file__).parents[1] / "recordings/cost.txt"
BEGIN, END = "<!-- begin: {name}, written by docs/figures.py -->\n", "<!-- end -->\n"
_NAMES = {
    "clush, cold": "clush",
    "launch, cold": "launch, without connections",
    "launch, open": "launch, connections open",
}
# With two nodes, there are hardly any connections to save.
_SHOWN = {2: ("clush, cold", "launch, cold"), 64: tuple(_NAMES), 240: tuple(_NAMES)}
_STAGES_OF = 64
_ROW = re.compile(r"^ *(\d+)  (\w+, \w+) +" + r" +".join([r"([\d.]+)"] * 7), re.M)


def cost(printed: str) -> str:
    """Return the table of the costs of a launch."""
    rows = ["| nodes | what | wall | ratio | here | ratio | there | ratio | sent |", "|---" * 9 + "|"]
    for count, what, wall, slower, here, more_here, there, more_there, sent in _ROW.findall(printed):
        if what in _SHOWN.get(int(count), ()):
            cells = [f"{_short(wall)} s", _short(slower), f"{1000 * float(here):.0f} ms", _short(more_here)]
            cells += [f"{1000 * float(there):.0f} ms", _short(more_there), f"{float(sent):.0f} KiB"]
            rows.append(f"| {count} | {_NAMES[what]} | {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def machine(printed: str) -> str:
    """Return where the figures come from, and what else the machine was doing."""
    load, cores = re.findall(r"^load ([\d.]+) on (\d+) cores$", printed, re.M)[0]
    return f"All hosts are in one lab, on one machine with {cores} cores, whose load was {load} before the start.\n"


def stages(printed: str) -> str:
    """Return what a launch printed about its stages."""
    found = next(block for block in re.findall(r"^STAGE .*?^\d+ nodes, .*?$", printed, re.M | re.S) if _is_shown(block))
    return f"```\n{found}\n```\n"


FIGURES = {"machine": machine, "cost": cost, "stages": stages}


def filled(page: str, printed: str) -> str:
    """Return a page with the figures inserted between its marks."""
    for name, write in FIGURES.items():
        before, begin, rest = page.partition(BEGIN.format(name=name))
        _, end, after = rest.partition(END)
        if not begin or not end:
            raise ValueError(f"the page has no marks for {name}")
        page = before + begin + "\n" + write(printed) + "\n" + end + after
    return page


def _is_shown(block: str) -> bool:
    return block.splitlines()[-1].startswith(f"{_STAGES_OF} nodes, ")


def _short(figure: str) -> str:
    return f"{float(figure):.2g}" if float(figure) < 10 else f"{float(figure):.0f}"

# SPDX-License-Identifier: Apache-2.0
"""The picture of the architecture: one launch, and the layers, whose packages are read from the code."""

import ast
import functools
import re
from pathlib import Path

from docs.generators.drawing import Arrow, Box, Label, Part, picture

_CORE = Path(__file__).parents[2] / "plugins/module_utils"
_FLOW = {
    "hosts": "what you type",
    "inventory": "how to log in",
    "probe": "facts per node",
    "plan": "ranks, interface",
    "arm": "all nodes ready",
    "go": "all at once",
    "follow": "output, exits",
    "result": "one verdict",
}
_PACKAGES = {
    "_kubernetes": "objects in a cluster",
    "_job": "a conductor in a job",
    "_conduct": "runs the stages in order",
    "_arm": "readies a node",
    "_plan": "judges, chooses",
    "_probe": "inspects a node",
    "_runs": "reads, ends runs",
    "_submit": "submits jobs",
    "_supervise": "owns the job",
    "_sync": "sends code",
    "_ways": "reaches nodes",
    "_follow": "watches a run",
    "_node": "what nodes offer",
    "_request": "what you ask",
    "_show": "lines, tables",
    "_common": "codes, events, wire, file names",
}
_LEFT, _WIDTH, _STEP, _ROW = 12, 616, 46, 4


def architecture() -> str:
    """Return the picture: the flow of a launch above, the layers below."""
    core, bottom = _core(top=418)
    description = (
        "A launch goes from hosts over inventory, probe, plan, arm, go and follow to a result. The command line and"
        " the playbooks share the plugins, and these the core logic. Packages import only packages below them."
    )
    parts = [*_flow(), *_entries(), *core]
    return picture("How madctl is built", description, (640, bottom + 12), parts)


def _flow() -> list[Part]:
    parts: list[Part] = [Label(_LEFT + 2, 32, ("One launch",), kind="title")]
    for at, (name, text) in enumerate(_FLOW.items()):
        x, y = _LEFT + 160 * (at % _ROW), 46 + 92 * (at // _ROW)
        parts.append(Box(x, y, 136, 54, name, (text,), "end" if name == "result" else "key"))
        if at % _ROW:
            parts.append(Arrow(((x - 24, y + 27), (x, y + 27))))
    return [*parts, Arrow(((560, 100), (560, 119), (80, 119), (80, 138)))]


def _entries() -> list[Part]:
    return [
        Label(_LEFT + 2, 232, ("Layers: each imports only what is below it",), kind="title"),
        Box(_LEFT, 246, 300, 54, "madctl/", ("command line and Python",)),
        Box(_LEFT + 316, 246, 300, 54, "playbooks/, roles/", ("for ansible-playbook",)),
        Box(_LEFT, 316, _WIDTH, 54, "plugins/", ("action, inventory, callback, modules, plugin_utils",)),
        Label(_LEFT + 2, 402, ("plugins/module_utils/: the core logic, standard library only",), kind="title"),
    ]


def _core(top: float) -> tuple[list[Part], int]:
    parts: list[Part] = []
    for names in reversed(floors()):
        for at in range(0, len(names), _ROW):
            row = names[at : at + _ROW]
            width = (_WIDTH - 12 * (len(row) - 1)) / len(row)
            for place, name in enumerate(row):
                x = _LEFT + place * (width + 12)
                is_wide = len(row) == 1
                text = f"{name}: {_PACKAGES[name]}" if is_wide else name
                parts.append(Box(x, top, width, 34 if is_wide else 54, text, () if is_wide else (_PACKAGES[name],)))
            top += 34 + 12 if len(row) == 1 else 54 + 12
    return parts, int(top)


@functools.cache
def floors() -> tuple[tuple[str, ...], ...]:
    """Return the packages of the core logic, from those without imports up to those that no other package imports."""
    imports = {path.name: _imports(path) - {path.name} for path in _CORE.glob("_[a-z]*") if path.is_dir()}
    found: list[tuple[str, ...]] = []
    placed: set[str] = set()
    while placed < imports.keys():
        floor = sorted(name for name, needed in imports.items() if name not in placed and needed <= placed)
        if not floor:
            raise ValueError("packages import each other")
        found.append(tuple(floor))
        placed |= set(floor)
    return tuple(found)


def _imports(package: Path) -> set[str]:
    found = set()
    for path in package.rglob("*.py"):
        for item in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(item, ast.ImportFrom):
                names = [f"{item.module}.{alias.name}" for alias in item.names]
            elif isinstance(item, ast.Import):
                names = [alias.name for alias in item.names]
            else:
                continue
            found |= {match[1] for name in names if (match := re.search(r"\.module_utils\.(_\w+)", name))}
    return found

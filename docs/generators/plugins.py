# SPDX-License-Identifier: Apache-2.0
"""The reference page for the modules and other plugins, as Markdown."""

from pathlib import Path
from typing import Any

import yaml

from docs.generators import plugin_docs

INTRODUCTION = """\
# Modules and plugins

What the [roles](roles.md) are made of, for tasks of your own. `ansible-doc -t module madctl.multinode.NAME` shows the
same. Except `node_info`, a module acts once per play, on all its hosts together. A task that is refused before
it asks a node has no result but `msg`. `make docs` generates this page from the plugins.

{rows}
"""
# Where plugins are, and what they are called.
KINDS = {"modules": "module", "inventory": "inventory plugin", "callback": "callback plugin"}
# Options that several modules take, and the sections that show them.
SHARED = {"request": "Options of a launch", "request.probe": "Options of an inspection"}


def plugins() -> str:
    """Return the page of all modules and plugins."""
    sections, rows = [], ["| plugin | what it does |", "|---|---|"]
    for place, kind in KINDS.items():
        for path in sorted((plugin_docs.ROOT / "plugins" / place).glob("*.py")):
            about = plugin_docs.documentation(path, SHARED)
            summary = plugin_docs.plain(about["short_description"]).replace("[", "\\[")
            rows.append(f"| [`{path.stem}`](#{path.stem}), {kind} | {summary} |")
            sections.append(_section(path, about))
    shared = [f"## {title}\n\n{_options(plugin_docs.fragment(name))}" for name, title in SHARED.items()]
    return "\n".join([INTRODUCTION.format(rows="\n".join(rows)), *sections, *shared])


def _section(path: Path, about: dict[str, Any]) -> str:
    parts = [f"## {path.stem}\n", f"{plugin_docs.plain(about['description'])}\n"]
    if about.get("requirements"):
        parts.append(f"Requirements: {plugin_docs.plain('; '.join(about['requirements']))}\n")
    example = plugin_docs.parts(path).get("EXAMPLES", "").strip()
    parts += [f"```yaml\n{example}\n```\n"] if example else []
    parts += [_options(about["options"])] if about["options"] else []
    titles = [SHARED[name] for name in plugin_docs.fragments(about) if name in SHARED]
    links = [f"[{title.lower()}](#{title.lower().replace(' ', '-')})" for title in titles]
    parts += [f"It also takes the {' and the '.join(links)}.\n"] if links else []
    if path.parent.name == "modules" and plugin_docs.returned(path.stem):
        parts.append(plugin_docs.results_table(path.stem, "result"))
    return "\n".join(parts)


def _options(options: dict[str, Any]) -> str:
    rows = ["| option | type | default | meaning |", "|---|---|---|---|"]
    for name, about in options.items():
        choices = ", ".join(f"`{choice}`" for choice in about.get("choices", ()))
        meaning = plugin_docs.plain(about["description"]) + (f" One of {choices}." if choices else "")
        cells = (f"`{name}`", plugin_docs.kind(about), _default(about), plugin_docs.cell(meaning))
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def _default(about: dict[str, Any]) -> str:
    if about.get("required"):
        return "required"
    if "default" not in about:
        return ""
    text = yaml.safe_dump(about["default"], default_flow_style=True).splitlines()[0]
    return f"`{text}`"

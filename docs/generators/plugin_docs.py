# SPDX-License-Identifier: Apache-2.0
"""The documentation of plugins and roles as data, and the tables and texts that pages make from it."""

from __future__ import annotations

import ast
import re
from collections.abc import Container
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
PREFIX = "madctl.multinode."
_MARKUP = re.compile(r"\b(?:[CEIMOV]|RV)\(([^()]*)\)")
_PARTS = ("DOCUMENTATION", "EXAMPLES", "RETURN")


def plain(text: object) -> str:
    """Return text with Ansible's markup converted to Markdown."""
    joined = " ".join(text) if isinstance(text, list) else str(text)
    return _MARKUP.sub(r"`\1`", joined)


def cell(text: str) -> str:
    """Return text escaped for a table cell."""
    return text.replace("|", "\\|")


def parts(path: Path) -> dict[str, str]:
    """Return the documentation blocks of a plugin, by name."""
    found: dict[str, str] = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        name = getattr(node.targets[0], "id", "") if isinstance(node, ast.Assign) else ""
        if name in _PARTS and isinstance(node, ast.Assign):
            found[name] = ast.literal_eval(node.value)
    return found


def documentation(path: Path, shared: Container[str] = ()) -> dict[str, Any]:
    """
    Return the documentation of a plugin, including the options of our fragments.

    Args:
        shared: Fragments whose options are left out, because they are shown elsewhere.
    """
    own: dict[str, Any] = yaml.safe_load(parts(path)["DOCUMENTATION"])
    options: dict[str, Any] = {}
    for name in fragments(own):
        if name not in shared:
            options.update(fragment(name))
    return {**own, "options": {**options, **(own.get("options") or {})}}


def fragments(about: dict[str, Any]) -> list[str]:
    """Return the names of our fragments that a plugin takes options from."""
    names = about.get("extends_documentation_fragment") or []
    return [name[len(PREFIX) :] for name in names if name.startswith(PREFIX)]


def fragment(name: str) -> dict[str, Any]:
    """
    Return the options of one of our fragments.

    Raises:
        LookupError: If there is no such fragment.
    """
    file, _, part = name.partition(".")
    tree = ast.parse((ROOT / f"plugins/doc_fragments/{file}.py").read_text(encoding="utf-8"))
    (body,) = (node.body for node in tree.body if isinstance(node, ast.ClassDef))
    for node in body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == (part.upper() or _PARTS[0]):
            found: dict[str, Any] = yaml.safe_load(ast.literal_eval(node.value)).get("options") or {}
            return found
    raise LookupError(name)


def returned(module: str) -> dict[str, dict[str, Any]]:
    """Return the documented return values of a module, by key."""
    text = parts(ROOT / f"plugins/modules/{module}.py").get("RETURN", "")
    return yaml.safe_load(text) or {}


def module_of(role: str) -> str | None:
    """Return the module whose result a role registers under its own name, if it does."""
    for file in ("run.yml", "main.yml"):
        path = ROOT / f"roles/{role}/tasks/{file}"
        for task in yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else []:
            if task.get("register") == f"{role}_result":
                return next(key[len(PREFIX) :] for key in task if key.startswith(PREFIX))
    return None


def kind(about: dict[str, Any]) -> str:
    """Describe the type of an option or a result in words."""
    return about.get("type", "str") + (f" of {about['elements']}" if "elements" in about else "")


def results_table(module: str, first: str = "key") -> str:
    """Return the table of a module's return values."""
    rows = [f"| {first} | type | when | meaning | example |", "|---|---|---|---|---|"]
    for name, about in returned(module).items():
        meaning, sample = cell(plain(about["description"])), cell(_sample(about.get("sample")))
        rows.append(f"| `{name}` | {kind(about)} | {plain(about['returned'])} | {meaning} | {sample} |")
    return "\n".join(rows) + "\n"


def _sample(value: object) -> str:
    if value in (None, ""):
        return ""
    text = yaml.safe_dump(value, default_flow_style=True, width=9999, sort_keys=False)
    return f"`{text.splitlines()[0]}`"

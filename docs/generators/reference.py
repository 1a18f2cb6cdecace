# SPDX-License-Identifier: Apache-2.0
"""The reference pages of the command line and of the roles, as Markdown."""

import re
from html import escape
from pathlib import Path

import yaml

from docs.generators import command_line

ROOT = Path(__file__).parents[2]
COMMANDS = """\
# Commands

What follows `--` is the work: it reaches the nodes word for word. [Exit codes](exit_codes.md) and [error
codes](errors.md) have pages of their own. This page is written from the parser by `make docs`.

{rows}
"""
ROLES = """\
# Roles and their variables

Each role of the collection `madctl.multinode` has one outcome and runs alone. With the playbooks, set the variable that
begins with `madctl_`, where there is one, and every role that needs it has it; they themselves set
`rendezvous_net_tools_follow` and `rendezvous_prove`. Any other default is given as it is. This page is written from the
roles' `argument_specs` by `make docs`.
"""


def commands() -> str:
    """Write the page of all commands and options."""
    found = command_line.commands()
    rows = ["| command | what it does |", "|---|---|"]
    rows += [f"| [`{each.name}`](#{_anchor(each.name)}) | {_cell(each.description)} |" for each in found]
    parts = [COMMANDS.format(rows="\n".join(rows))]
    for each, groups in command_line.with_repeated(found):
        parts.append(f"## {each.name}\n\n{each.description}\n\n```text\n{each.usage}\n```\n")
        same = [(group.title, name) for group, name in groups if name]
        parts += [f"Options of {title}: as for [`{name}`](#{_anchor(name)}).\n" for title, name in same]
        for group in (group for group, name in groups if not name):
            head = ["| option | meaning |" if group.title == "options" else f"| {group.title} | meaning |", "|---|---|"]
            lines = [f"| {_code(option.spelling)} | {_cell(option.meaning)} |" for option in group.options]
            parts.append("\n".join([*head, *lines]) + "\n")
    return "\n".join(parts)


def roles() -> str:
    """Write the page of all roles and variables."""
    parts = [ROLES]
    for path in sorted(ROOT.glob("roles/*/meta/argument_specs.yml")):
        role = path.parents[1]
        defaults = _read(role / "defaults" / "main.yml")
        for entry, spec in _read(path)["argument_specs"].items():
            name = role.name if entry == "main" else f"{role.name}: {entry}"
            parts.append(f"## {name}\n\n{_plain(spec['description'])}\n")
            options = spec.get("options") or {}
            if options:
                rows = ["| variable | type | default | meaning |", "|---|---|---|---|"]
                rows += [_variable(variable, option, defaults) for variable, option in options.items()]
                parts.append("\n".join(rows) + "\n")
    return "\n".join(parts)


def _read(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {} if path.exists() else {}


def _variable(name: str, option: dict, defaults: dict) -> str:
    kind = f"list of {option['elements']}" if option.get("elements") else option.get("type", "str")
    default = "required" if option.get("required") else _default(defaults.get(name, option.get("default")))
    choices = " One of " + ", ".join(f"`{each}`" for each in option["choices"]) + "." if "choices" in option else ""
    return f"| `{name}` | {kind} | {default} | {_cell(_plain(option['description']) + choices)} |"


def _default(value: object) -> str:
    """Name the shared variable that a default takes its value from, and what holds without it."""
    shared = re.search(r"(madctl_\w+)(?:\s*\|\s*default\(([^()]*)\))?", str(value))
    if shared:
        otherwise = (shared[2] or "").strip("'\"")
        return f"`{shared[1]}`" + (f", else `{otherwise}`" if otherwise not in ("", "omit", "none") else "")
    if value is None or value == "" or "{{" in str(value):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _plain(text: object) -> str:
    """Turn Ansible's markup into Markdown's."""
    joined = " ".join(text) if isinstance(text, list) else str(text)
    return re.sub(r"\b(?:[CEIMOV]|RV)\(([^()]*)\)", r"`\1`", joined)


def _code(text: str) -> str:
    """Mark as code; a bar in a table is read in two ways, so it is written in the one that all readers share."""
    return f"<code>{escape(text)}</code>".replace("|", "&#124;") if "|" in text else f"`{text}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _anchor(name: str) -> str:
    return name.replace(" ", "-")

# SPDX-License-Identifier: Apache-2.0
"""The reference pages for the command line and for the roles, as Markdown."""

import re
from html import escape
from pathlib import Path

import yaml

from docs import role_tables
from docs.generators import command_line, plugin_docs
from docs.generators.plugin_docs import cell as _cell
from docs.generators.plugin_docs import plain as _plain

ROOT = Path(__file__).parents[2]
COMMANDS = """\
# Commands

The work begins with the first word that is not an option, or after `--`: it reaches the nodes word for word. See also
[exit codes](exit_codes.md) and [error codes](errors.md). `make docs` generates this page from the parser.

Tables are as wide as the terminal, or as `COLUMNS` says; messages are never cut, and in a pipe, without `COLUMNS`,
nothing is. On a terminal, failures are red and warnings yellow, unless `NO_COLOR` is set or `TERM` is `dumb`.

{rows}
"""
ROLES = """\
# Roles, their variables and results

Each role of the collection `madctl.multinode` has one outcome and can be used alone. With the playbooks, set the
variable that begins with `madctl_`, if there is one, and every role that needs it gets it; the playbooks themselves set
`rendezvous_net_tools_follow` and `rendezvous_prove`. All other defaults are literal values. Later tasks find
what a role registered in its variable `ROLE_result`; a role that is refused before it asks a node registers only `msg`.
`make docs` generates this page from the roles' `argument_specs` and from what their [modules](plugins.md) document.
"""


def commands() -> str:
    """Return the page of all commands and options."""
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
        parts += [f"To {what}:\n\n```sh\n{line}\n```\n" for what, line in each.examples]
    return "\n".join(parts)


def roles() -> str:
    """Return the page of all roles, their variables and results."""
    parts = [ROLES]
    for path in sorted(ROOT.glob("roles/*/meta/argument_specs.yml")):
        role = path.parents[1]
        defaults = _read(role / "defaults" / "main.yml")
        for entry, spec in _read(path)["argument_specs"].items():
            name = role.name if entry == "main" else f"{role.name}: {entry}"
            parts.append(f"## {name}\n\n{_plain(_own(spec['description']))}\n")
            options = spec.get("options") or {}
            if options:
                rows = ["| variable | type | default | meaning |", "|---|---|---|---|"]
                rows += [_variable(variable, option, defaults) for variable, option in options.items()]
                parts.append("\n".join(rows) + "\n")
            module = plugin_docs.module_of(role.name) if entry == "main" else None
            if module:
                parts.append(plugin_docs.results_table(module, f"in `{role.name}_result`"))
    return "\n".join(parts)


def _own(description: object) -> object:
    """Return a description without the item that lists results: the page shows them as a table."""
    items = description if isinstance(description, list) else [description]
    return [item for item in items if not item.startswith(role_tables.REGISTERS)]


def _read(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {} if path.exists() else {}


def _variable(name: str, option: dict, defaults: dict) -> str:
    kind = f"list of {option['elements']}" if option.get("elements") else option.get("type", "str")
    default = "required" if option.get("required") else _default(defaults.get(name, option.get("default")))
    choices = " One of " + ", ".join(f"`{each}`" for each in option["choices"]) + "." if "choices" in option else ""
    return f"| `{name}` | {kind} | {default} | {_cell(_plain(option['description']) + choices)} |"


def _default(value: object) -> str:
    """Return the shared variable that a default refers to, with its fallback; otherwise the default itself."""
    shared = re.search(r"(madctl_\w+)(?:\s*\|\s*default\(([^()]*)\))?", str(value))
    if shared:
        otherwise = (shared[2] or "").strip("'\"")
        return f"`{shared[1]}`" + (f", otherwise `{otherwise}`" if otherwise not in ("", "omit", "none") else "")
    if value is None or value == "" or "{{" in str(value):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _code(text: str) -> str:
    """Mark text as code. Renderers disagree about a bar in a table, so write it in the form that all of them accept."""
    return f"<code>{escape(text)}</code>".replace("|", "&#124;") if "|" in text else f"`{text}`"


def _anchor(name: str) -> str:
    return name.replace(" ", "-")

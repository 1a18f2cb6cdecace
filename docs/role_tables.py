# SPDX-License-Identifier: Apache-2.0
"""
Write the parts of roles that are generated from other files.

The tables in README files come from argument specifications and from the documented results of the roles' modules;
examples and results in argument specifications, which ``ansible-doc`` shows, from README files and these modules.
"""

import re
import textwrap
from pathlib import Path

import yaml

from docs.generators import plugin_docs

ROLES = Path(__file__).parents[1] / "roles"
BEGIN, END = "<!-- begin: written by docs/role_tables.py -->\n", "<!-- end -->\n"
BEGIN_RESULTS = "<!-- begin results: written by docs/role_tables.py -->\n"
REGISTERS = "What it registers, "
_RESULT = "# The result: written by docs/role_tables.py"
_EXAMPLES = "    # Written by docs/role_tables.py, from the README.\n    examples: |\n"
_MARKUP = re.compile(r"\b[COMV]\((.*?)\)")


def options(role: str) -> dict[str, dict[str, object]]:
    """Return the variables of a role from its specification."""
    text = (ROLES / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8")
    found: dict[str, dict[str, object]] = yaml.safe_load(text)["argument_specs"]["main"]["options"]
    return found


def table(role: str) -> str:
    """Return the table of a role's variables, in the order of its specification."""
    known = options(role)
    if not known:
        return "The role has no variables of its own.\n"
    rows = ["| variable | type | default | meaning |", "|---|---|---|---|"]
    for name, about in known.items():
        rows.append(f"| `{name}` | {plugin_docs.kind(about)} | {_default(about)} | {_meaning(about)} |")
    return "\n".join(rows) + "\n"


def _default(about: dict[str, object]) -> str:
    if about.get("required"):
        return "required"
    return (
        f"`{yaml.safe_dump(about['default'], default_flow_style=True).splitlines()[0]}`" if "default" in about else ""
    )


def _meaning(about: dict[str, object]) -> str:
    texts = about["description"]
    text = " ".join(texts) if isinstance(texts, list) else str(texts)
    choices = f" One of {', '.join(f'`{choice}`' for choice in about['choices'])}." if "choices" in about else ""
    return _MARKUP.sub(r"`\1`", text).replace("|", "\\|") + choices


def results(role: str) -> str:
    """Return the table of a role's results; nothing for a role that registers none of its own."""
    module = plugin_docs.module_of(role)
    return plugin_docs.results_table(module, f"in `{role}_result`") if module else ""


def with_table(role: str) -> str:
    """Return a role's README with its tables brought up to date."""
    text = (ROLES / role / "README.md").read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    _, _, after = after.partition(END) if after.lstrip("\n").startswith(BEGIN_RESULTS) else ("", "", after)
    found = results(role)
    return before + BEGIN + table(role) + END + (f"\n{BEGIN_RESULTS}{found}{END}" if found else "") + after


def example(role: str) -> str:
    """Return the example of a role's README."""
    text = (ROLES / role / "README.md").read_text(encoding="utf-8")
    return text.partition("```yaml\n")[2].partition("```")[0]


def with_examples(role: str) -> str:
    """Return a role's argument specification with its example and its results brought up to date."""
    text = (ROLES / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8")
    text = re.sub(rf"      {re.escape(_RESULT)}\n      - >-\n(?:        .*\n)+", "", text)
    text = re.sub(rf"{re.escape(_EXAMPLES)}(?:      .*\n|\n)+", "", text)
    shown = _EXAMPLES + textwrap.indent(example(role), " " * 6)
    return text.replace("    author:", f"{_result(role)}    author:", 1).replace(
        "    options:", f"{shown}    options:", 1
    )


def _result(role: str) -> str:
    """Write the results of a role as an item of its description."""
    module = plugin_docs.module_of(role)
    if module is None:
        return ""
    found = plugin_docs.returned(module)
    words = ", ".join(f"C({name}) ({plugin_docs.kind(about)})" for name, about in found.items())
    text = f"{REGISTERS}C({role}_result), may have: {words}. M(madctl.multinode.{module}) documents each."
    lines = textwrap.fill(text, 120, initial_indent=" " * 8, subsequent_indent=" " * 8, break_on_hyphens=False)
    return f"      {_RESULT}\n      - >-\n{lines}\n"


if __name__ == "__main__":
    for readme in sorted(ROLES.glob("*/README.md")):
        name = readme.parent.name
        readme.write_text(with_table(name), encoding="utf-8")
        (readme.parent / "meta" / "argument_specs.yml").write_text(with_examples(name), encoding="utf-8")

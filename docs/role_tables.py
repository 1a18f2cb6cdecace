# SPDX-License-Identifier: Apache-2.0
"""Write the variable tables in the roles' README files from their argument specifications."""

import re
from pathlib import Path

import yaml

ROLES = Path(__file__).parents[1] / "roles"
BEGIN, END = "<!-- begin: written by docs/role_tables.py -->\n", "<!-- end -->\n"
_MARKUP = re.compile(r"\b[COMV]\((.*?)\)")


def options(role: str) -> dict[str, dict[str, object]]:
    """Return the variables of a role as its specification describes them."""
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
        kind = about["type"] + (f" of {about['elements']}" if "elements" in about else "")
        rows.append(f"| `{name}` | {kind} | {_default(about)} | {_meaning(about)} |")
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


def with_table(role: str) -> str:
    """Return a role's README with its table brought up to date."""
    text = (ROLES / role / "README.md").read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + table(role) + END + after


if __name__ == "__main__":
    for readme in sorted(ROLES.glob("*/README.md")):
        readme.write_text(with_table(readme.parent.name), encoding="utf-8")

# SPDX-License-Identifier: Apache-2.0
"""The changelog, from its fragments: newest version first, sections in the configured order."""

from pathlib import Path

import yaml

CHANGELOGS = Path(__file__).parents[2] / "changelogs"


def changelog() -> str:
    """Return the page; a fragment's name begins with its version."""
    config = yaml.safe_load((CHANGELOGS / "config.yaml").read_text(encoding="utf-8"))
    versions: dict[str, dict[str, list[str]]] = {}
    for path in sorted((CHANGELOGS / "fragments").glob("*.yml")):
        sections = versions.setdefault(path.name.partition("-")[0], {})
        for section, entries in yaml.safe_load(path.read_text(encoding="utf-8")).items():
            sections.setdefault(section, []).extend([entries] if isinstance(entries, str) else entries)
    parts = ["# Changelog"]
    for version in sorted(versions, key=lambda text: [int(number) for number in text.split(".")], reverse=True):
        parts.append(f"## {version}")
        parts += versions[version].get(config["prelude_section_name"], [])
        for section, title in config["sections"]:
            if entries := versions[version].get(section):
                parts += [f"### {title}", "\n".join(f"- {entry.strip()}" for entry in entries)]
    return "\n\n".join(parts).replace("``", "`") + "\n"

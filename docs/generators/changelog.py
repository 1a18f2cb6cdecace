# SPDX-License-Identifier: Apache-2.0
"""The changelog: the releases that antsibull-changelog recorded, and the fragments of the next one."""

from pathlib import Path
from typing import Any

import yaml

CHANGELOGS = Path(__file__).parents[2] / "changelogs"


def changelog(changelogs: Path = CHANGELOGS) -> str:
    """Return the page: newest version first, sections in the configured order, entries sorted alphabetically."""
    config = yaml.safe_load((changelogs / "config.yaml").read_text(encoding="utf-8"))
    parts = ["# Changelog"]
    for version, state, changes in reversed([*_released(changelogs), *_pending(changelogs)]):
        parts += [f"## {version} ({state})", *filter(None, [changes.get(config["prelude_section_name"])])]
        for section, title in config["sections"]:
            if entries := changes.get(section):
                parts += [f"### {title}", "\n".join(f"- {entry.strip()}" for entry in sorted(entries))]
    return "\n\n".join(parts).replace("``", "`") + "\n"


def _released(changelogs: Path) -> list[tuple[str, str, dict[str, Any]]]:
    """Return each release, oldest first, with its date and its entries by section."""
    recorded = yaml.safe_load((changelogs / "changelog.yaml").read_text(encoding="utf-8"))["releases"]
    return [
        (version, str(recorded[version]["release_date"]), recorded[version]["changes"])
        for version in sorted(recorded, key=lambda text: [int(number) for number in text.split(".")])
    ]


def _pending(changelogs: Path) -> list[tuple[str, str, dict[str, Any]]]:
    """Return the next version, with the entries of all fragments, whose names begin with its number."""
    changes: dict[str, Any] = {}
    paths = sorted((changelogs / "fragments").glob("*.yml"))
    for path in paths:
        for section, entries in yaml.safe_load(path.read_text(encoding="utf-8")).items():
            changes[section] = entries if isinstance(entries, str) else [*changes.get(section, []), *entries]
    versions = sorted({path.name.partition("-")[0] for path in paths})
    return [(" and ".join(versions), "not yet released", changes)] if paths else []

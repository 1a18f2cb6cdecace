# SPDX-License-Identifier: Apache-2.0
"""Pass the project's version to the site, which shows it beside its name and at the bottom of pages."""

import re
from pathlib import Path
from typing import Any

GALAXY = Path(__file__).parents[2] / "galaxy.yml"


def version() -> str:
    """Return the version of the project."""
    found = re.search(r"^version: (\S+)", GALAXY.read_text(encoding="utf-8"), re.M)
    assert found is not None
    return found[1]


def on_config(config: Any) -> Any:
    """Set the values that depend on the project; mkdocs calls this once per build."""
    config["extra"]["madctl_version"] = version()
    config["copyright"] = f"madctl {version()}"
    return config

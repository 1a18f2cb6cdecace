# SPDX-License-Identifier: Apache-2.0
"""Give the site what it takes from the project: the version, which pages show at the bottom and beside the name."""

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
    """Set what depends on the project; mkdocs calls this once for each build."""
    config["extra"]["madctl_version"] = version()
    config["copyright"] = f"madctl {version()}"
    return config

# SPDX-License-Identifier: Apache-2.0
"""The version of madctl."""

from importlib import metadata
from pathlib import Path


def version() -> str:
    """Return the version: of a checkout as its file says, since the number may have changed after the installation."""
    try:
        words = (Path(__file__).parents[1] / "galaxy.yml").read_text(encoding="utf-8").split()
    except OSError:
        words = []
    # Beside an installed package there may be the file of another collection.
    if words[:3] != ["---", "namespace:", "madctl"]:
        return metadata.version("madctl")
    return words[words.index("version:") + 1]

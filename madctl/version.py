# SPDX-License-Identifier: Apache-2.0
"""The version of madctl."""

from importlib import metadata
from pathlib import Path


def version() -> str:
    """Return the version; in a checkout, that of its file, since the number may have changed after the installation."""
    try:
        words = (Path(__file__).parents[1] / "galaxy.yml").read_text(encoding="utf-8").split()
    except OSError:
        words = []
    # An installed package may have the file of another collection beside it.
    if words[:3] != ["---", "namespace:", "madctl"]:
        return metadata.version("madctl")
    return words[words.index("version:") + 1]

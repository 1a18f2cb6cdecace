# SPDX-License-Identifier: Apache-2.0
"""Pass the project's version to the site, which shows it beside its name and at the bottom of pages."""

from typing import Any

from madctl.version import version


def on_config(config: Any) -> Any:
    """Set the values that depend on the project; mkdocs calls this once per build."""
    config["extra"]["madctl_version"] = version()
    config["copyright"] = f"madctl {version()}"
    return config

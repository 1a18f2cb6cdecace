# SPDX-License-Identifier: Apache-2.0
"""Write the pages that are generated from the code; ``make docs`` runs this."""

from pathlib import Path

from docs.generators import changelog, checks, manual, plugins, python, reference, settings

HERE = Path(__file__).parent
PAGES = {
    "reference/commands.md": reference.commands,
    "reference/checks.md": checks.checks,
    "reference/faults.md": checks.faults,
    "reference/plugins.md": plugins.plugins,
    "reference/roles.md": reference.roles,
    "reference/settings.md": settings.settings,
    "man/madctl.1": manual.manual,
    "../madctl/api/options.py": python.options,
    "../CHANGELOG.md": changelog.changelog,
}

if __name__ == "__main__":
    for name, write in PAGES.items():
        (HERE / name).parent.mkdir(exist_ok=True)
        (HERE / name).write_text(write(), encoding="utf-8")

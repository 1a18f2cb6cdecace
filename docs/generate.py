# SPDX-License-Identifier: Apache-2.0
"""Write the reference pages that come from the code: ``make docs``."""

from pathlib import Path

from ansible_collections.madctl.multinode.plugins.module_utils import _catalog

REFERENCE = Path(__file__).parent / "reference"
INTRODUCTION = """\
# Checks

`madctl check` runs them all; `madctl launch` runs the same before it starts anything. An error refuses the launch with
exit code 3 (4 for the check `reach`), a warning is shown and does not. `--skip CHECK` leaves one out, and
`madctl check --only CHECK` leaves out the others; what a launch cannot do without always runs.

This page is written from the code by `make docs`.
"""


def checks() -> str:
    """Write the page of all checks: what each looks at, what it costs, its codes and remedies."""
    parts = [INTRODUCTION]
    for check in _catalog.CHECKS:
        skip = f"`--skip {check.name}`" if check.skippable else "never skipped"
        parts.append(f"## {check.name}\n\nLooks at: {check.looks_at}.  \nCosts: {check.cost}.  \nSkip: {skip}.\n")
        rows = ["| code | level | meaning | remedy |", "|---|---|---|---|"]
        rows += [
            f"| `{finding.code}` | {finding.level} | {finding.meaning} | {finding.remedy or ''} |"
            for finding in check.findings
        ]
        parts.append("\n".join(rows) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    (REFERENCE / "checks.md").write_text(checks(), encoding="utf-8")

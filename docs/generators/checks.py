# SPDX-License-Identifier: Apache-2.0
"""The reference pages for checks and for the faults that they are tested to detect."""

from ansible_collections.madctl.multinode.plugins.module_utils._common import catalog
from ansible_collections.madctl.multinode.plugins.module_utils._ways import ssh

INTRODUCTION = """\
# Checks

`madctl check` runs them all; `madctl launch` runs the same checks before it starts anything. An error refuses the
launch with exit code 3 (4 for the check `reach`); warnings are shown but do not block it. `--skip CHECK` skips a check,
and `madctl check --only CHECK` skips the others; checks that a launch cannot do without always run.

`make docs` generates this page from the code.
"""
FAULTS_INTRODUCTION = """\
# Faults detected before a start

For each of these {count} faults, a test sees a healthy cluster of three real hosts pass, then breaks one of them.
`madctl check` must name the code and the node within {seconds} s, blame no other node and leave nothing behind.

{rows}

Separate tests cover real NFS 4.2: mounted, a local directory with the same content, another export, read-only, and a
file server that hangs. `make docs` generates this page from the tests.
"""


def checks() -> str:
    """Return the page of all checks: what each inspects, what it costs, its codes and remedies."""
    # The page describes the usual way to nodes.
    remedies, hint = ssh.remedies("HOST"), ssh.Ssh.hint("HOST")
    parts = [INTRODUCTION]
    for check in catalog.CHECKS:
        skip = f"`--skip {check.name}`" if check.skippable else "never skipped"
        looks_at = check.looks_at.replace("{way}", ssh.LOOKS_AT)
        parts.append(f"## {check.name}\n\nLooks at: {looks_at}.  \nCosts: {check.cost}.  \nSkip: {skip}.\n")
        rows = ["| code | level | meaning | remedy |", "|---|---|---|---|"]
        for finding in check.findings:
            remedy = catalog.remedy_of(finding.code, hint) or remedies.get(finding.code, "")
            rows.append(f"| `{finding.code}` | {finding.level} | {finding.meaning} | {remedy} |")
        parts.append("\n".join(rows) + "\n")
    return "\n".join(parts)


def faults() -> str:
    """Return the page of faults that the tests provoke on real hosts."""
    from tests.integration.test_faults import FAULTS, LIMIT_SECONDS, row

    head = ["| fault | code | level | named | exit |", "|---|---|---|---|---|"]
    rows = "\n".join([*head, *(row(fault) for fault in FAULTS)])
    return FAULTS_INTRODUCTION.format(count=len(FAULTS), seconds=LIMIT_SECONDS, rows=rows)

# SPDX-License-Identifier: Apache-2.0
"""The reference pages of checks and of faults that are known to be found."""

from ansible_collections.madctl.multinode.plugins.module_utils._common import catalog
from ansible_collections.madctl.multinode.plugins.module_utils._ways import ssh

INTRODUCTION = """\
# Checks

`madctl check` runs them all; `madctl launch` runs the same before it starts anything. An error refuses the launch with
exit code 3 (4 for the check `reach`), a warning is shown and does not. `--skip CHECK` leaves one out, and
`madctl check --only CHECK` leaves out the others; what a launch cannot do without always runs.

This page is written from the code by `make docs`.
"""
FAULTS_INTRODUCTION = """\
# Faults that are found before a start

Each of these {count} faults is put into one of three real hosts by a test, which sees the healthy cluster pass first.
`madctl check` names code and node, within {seconds} s, blames nobody else, and leaves nothing behind.

{rows}

Real NFS 4.2 has tests of its own: mounted, a local directory with the same content, another export, read-only, and a
file server that hangs. This page is written from the tests by `make docs`.
"""


def checks() -> str:
    """Write the page of all checks: what each looks at, what it costs, its codes and remedies."""
    # Of the ways to nodes, the page describes the usual one.
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
    """Write the page of faults that the tests put into real hosts."""
    from tests.integration.test_faults import FAULTS, LIMIT_SECONDS, row

    head = ["| fault | code | level | named | exit |", "|---|---|---|---|---|"]
    rows = "\n".join([*head, *(row(fault) for fault in FAULTS)])
    return FAULTS_INTRODUCTION.format(count=len(FAULTS), seconds=LIMIT_SECONDS, rows=rows)

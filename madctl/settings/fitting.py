# SPDX-License-Identifier: Apache-2.0
"""Settings without a meaning where a launch runs: since they were not typed, they are dropped, not refused. Pure."""

from __future__ import annotations

import argparse

from madctl.request import role_variables, scheduler_options


def unfit(options: argparse.Namespace) -> set[str]:
    """Return the keys of options that have no meaning for this request, as far as its other options tell."""
    if not hasattr(options, "on"):
        return set()
    found = scheduler_options.foreign(options.on)
    if options.on == "slurm":
        found |= {"--hosts", "--hostfile", *(() if options.login else ("--inventory", "--limit"))}
    if options.command == "check" and options.on == "ssh":
        found.add("--dry-run")
    if getattr(options, "detach", False):
        # A command that attaches to the run gets the same settings.
        found |= {"--on-end", "--notify"}
    found |= {option for option, (_, is_given) in role_variables.needed(options).items() if not is_given}
    return {option[2:] for option in found}

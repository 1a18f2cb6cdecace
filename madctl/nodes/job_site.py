# SPDX-License-Identifier: Apache-2.0
"""Where a Slurm job is submitted, and where its directory is: on this machine, or on the login side of a lab."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from ansible_collections.madctl.multinode.plugins.module_utils._job import run_root
from madctl.errors import refused
from madctl.jobs import slurm
from madctl.jobs.slurm import Site
from madctl.lab import slurm as slurm_of_lab
from madctl.lab import state

# The run root in the shared directory of a lab.
_IN_LAB = "madctl-runs"


def of(options: argparse.Namespace) -> Site:
    """
    Determine where the job is submitted.

    Raises:
        UsageError: If no shared directory is given, and the home directory is not shared either.
    """
    lab = state.load(options.lab) if options.lab else None
    conf = str(slurm_of_lab.configuration_file(lab)) if lab else slurm.configuration()
    root = options.run_root or (os.path.join(lab.shared, _IN_LAB) if lab else _at_home())
    return Site(Path(root).absolute(), conf)


def _at_home() -> str:
    home = os.path.expanduser("~")
    found = run_root.storage(home)
    if not found.is_network:
        message = "--on slurm needs a directory that this machine and all nodes see"
        why = f"; {run_root.usual(home)} is on {found.fstype or 'a file system of unknown type'}, which may be local"
        raise refused("USAGE", message + why, remedy="add --run-root PATH")
    return run_root.usual(home)

# SPDX-License-Identifier: Apache-2.0
"""Slurm on this machine: the collection's functions, with errors of madctl."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from ansible_collections.madctl.multinode.plugins.module_utils._submit import slurm
from madctl.jobs.refusals import reported

State = slurm.State
SECONDS, WAITING, FINAL, FORGOTTEN = slurm.SECONDS, slurm.WAITING, slurm.FINAL, slurm.FORGOTTEN
SUSPENDED = slurm.SUSPENDED
configuration, command, environment = slurm.configuration, slurm.command, slurm.environment
require, submit, test = reported(slurm.require), reported(slurm.submit), reported(slurm.test)
look, find = reported(slurm.look), reported(slurm.find)
version, own_runs = reported(slurm.version), reported(slurm.own_runs)
cancel, ring = reported(slurm.cancel), reported(slurm.ring)


class Site(NamedTuple):
    """Where jobs are submitted: the run root, and the configuration of Slurm, empty for the default one."""

    root: Path
    conf: str

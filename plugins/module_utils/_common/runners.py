# SPDX-License-Identifier: Apache-2.0
"""
What starts a job, as a table: one row per runner. Data only; private to the collection.

All code reads a row and never compares names, so adding a runner takes one row here and one file in ``_plan/runners``.
The runner that the user chose starts scripts. Work of any other shape has its own row, whose file decides what the
chosen runner means for it. Nodes read this table as well.
"""

from __future__ import annotations

from typing import NamedTuple, Optional, Tuple


class Runner(NamedTuple):
    """
    One row: ``name`` of the runner, the ``shape`` of work that it starts, and what other code needs to know about it.

    A failure is reported as that of ``called``, with ``code``.
    """

    name: str
    shape: str
    called: str
    code: str
    # About the job: whether every rank reports itself, and whether the job's Python runs the work.
    counts_ranks: bool = True
    uses_python: bool = True
    # Whether the output of the runner while it is stopped would bury the cause of the stop.
    hides_stop: bool = True
    # The option that asks for this shape of work, as ``argparse`` names it; empty for the usual shape.
    asked_by: str = ""
    # A file that every such job begins with; whether a node whose script has other bytes is refused.
    entry: Optional[str] = None
    compares_entry: bool = True
    # Whether it runs models: they end with a table of results, and containers get every GPU of their node.
    has_models: bool = False
    # How many seconds a probe may take.
    probe_seconds: float = 22.0
    # The message if no node has a GPU, and its remedy; None for the usual words.
    without_gpus: Optional[Tuple[str, str]] = None
    # About ranks: whether nodes get them in order, may get unequal numbers of them, and torch has to be installed.
    deals_in_order: bool = False
    takes_unequal: bool = False
    needs_torch: bool = False
    # What it starts on every node but the first, which alone runs the runner itself; empty if it runs on every node.
    daemons: str = ""
    # Whether all ranks end within moments of the first failure, so that clocks cannot order them.
    ends_together: bool = False
    # Options of madctl that are for this runner only.
    options: Tuple[str, ...] = ()


ROWS = (
    Runner("torchrun", "script", "torchrun", "RANK_FAILED", deals_in_order=True, needs_torch=True),
    Runner(
        *("mpirun", "script", "mpirun", "RANK_FAILED"),
        takes_unequal=True,
        daemons="its MPI daemon",
        ends_together=True,
        options=("--mpi-args", "--mpirun"),
    ),
    Runner(
        *("command", "command", "the command", "COMMAND_FAILED"),
        counts_ranks=False,
        uses_python=False,
        hides_stop=False,
        asked_by="as_command",
        compares_entry=False,
    ),
    Runner(
        *("madengine", "model", "madengine", "MODEL_FAILED"),
        counts_ranks=False,
        uses_python=False,
        hides_stop=False,
        asked_by="tags",
        entry="models.json",
        has_models=True,
        probe_seconds=100.0,  # madengine may take a minute to print its version
        without_gpus=(
            "no GPU found on any node: madengine 1 counts them itself, madengine 2 starts 1 process per node",
            "--nproc-per-node",
        ),
    ),
)
# What is known of a run that only its nodes know, or that a later version started.
UNKNOWN = ROWS[2]._replace(name="", asked_by="", takes_unequal=True)


def names() -> Tuple[str, ...]:
    """Return the names by which a user may choose a runner; the first is the default."""
    return tuple(row.name for row in ROWS if row.shape == ROWS[0].shape)


def shapes() -> Tuple[str, ...]:
    """Return the shapes of work; the first is the default."""
    return tuple(dict.fromkeys(row.shape for row in ROWS))


def ranks_by(name: Optional[str]) -> Runner:
    """Return the row of the chosen runner, ``UNKNOWN`` if there is none of that name."""
    return next((row for row in ROWS if row.name == name), UNKNOWN)


def job_of(shape: str, name: Optional[str] = None) -> Runner:
    """Return the row of what starts a job: the chosen runner for a script, otherwise the row of its shape."""
    rows = [row for row in ROWS if row.shape == shape]
    return next((row for row in rows if row.name == name), rows[0] if rows else UNKNOWN)


def asked_for(options: object) -> str:
    """Return the shape of work that the parsed options of a command line ask for."""
    asked = (row.shape for row in ROWS if row.asked_by and getattr(options, row.asked_by))
    return next(asked, ROWS[0].shape)

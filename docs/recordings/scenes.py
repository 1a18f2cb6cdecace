# SPDX-License-Identifier: Apache-2.0
"""The recordings: the commands that are typed, and the size of the terminal. `make demo` runs the same commands."""

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
_JOB = "--lab demo --shared-path /shared --nproc-per-node 2 examples/train.py"
_TRAIN = f"madctl launch {_JOB} --checkpoint /shared/model.pt"


@dataclass(frozen=True)
class Scene:
    """One recording: its text for screen readers, the size of the terminal, and the commands that are typed."""

    name: str
    title: str
    description: str
    size: tuple[int, int]  # columns and rows
    typed: tuple[str, ...]

    @property
    def cast(self) -> Path:
        """The file with the recorded bytes, in asciicast 2 format."""
        return HERE / f"{self.name}.cast"


SCENES = (
    Scene(
        "demo",
        "madctl trains a model on two hosts",
        "Terminal session: madctl lab up creates two hosts, madctl check finds no problem, and madctl launch trains on "
        "both hosts until all four ranks have succeeded.",
        (116, 26),
        ("madctl lab up -n 2 --name demo", f"madctl check {_JOB}", _TRAIN),
    ),
    Scene(
        "failure",
        "madctl names the rank that failed first",
        "Terminal session: rank 1 of a training raises an error. madctl stops the other ranks, shows the last lines of "
        "rank 1 and its exit code; madctl status shows that no process is left.",
        (116, 30),
        (f"{_TRAIN} --epochs 5 --break-rank 1", "madctl status"),
    ),
)

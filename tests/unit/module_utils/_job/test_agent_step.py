# SPDX-License-Identifier: Apache-2.0
"""Why agents of a job did not start, from what they and srun printed, in whichever order, and with lines lost."""

import sys

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import job_directory
from ansible_collections.madctl.multinode.plugins.module_utils._job.agent_step import Step

LAUNCHER = "/shared/runs/bin/madctl_node.py"
SEEN = f"madctl: n2: cannot see {LAUNCHER}"
EXITED = "srun: error: n2: task 1: Exited with exit code 66"
AFTER = [
    "srun: launch/slurm: _step_signal: Terminating StepId=1.0",
    "srun: error: n3: task 2: Terminated",
    "srun: error: n1: task 0: Killed",
    "srun: Force Terminated StepId=1.0",
]
UNSEEN = {"n2": (f"cannot see {LAUNCHER}", "choose a directory that all nodes see: --run-root PATH")}


class Door:
    address = ("127.0.0.1", 1)

    def missing(self):
        return ["n1", "n2", "n3"]


@pytest.fixture
def blamed(tmp_path, monkeypatch):
    """Return a function that gives the cause and the remedy of each node that is blamed for lines."""
    monkeypatch.setattr(sys, "argv", [LAUNCHER])

    def found(*lines):
        (tmp_path / job_directory.AGENTS_LOG).write_text("".join(f"{line}\n" for line in lines))
        problems = Step(str(tmp_path), Door(), 3)._failures("it is late")
        assert {problem["code"] for problem in problems} == {"NODE_NOT_READY"}
        return {problem["host"]: (problem["message"], problem["remedy"]) for problem in problems}

    return found


@pytest.mark.parametrize(
    "lines",
    [
        [SEEN, EXITED, *AFTER],
        [EXITED, *AFTER[:3], SEEN, *AFTER[3:]],
        [EXITED, *AFTER],
        [SEEN, *AFTER],
        [*AFTER, EXITED],
    ],
)
def test_a_node_that_does_not_see_the_programs_is_named_whatever_is_lost(blamed, lines):
    assert blamed(*lines) == UNSEEN


def test_agents_that_ended_are_named_and_no_others(blamed, tmp_path):
    see = f"see {tmp_path}/{job_directory.AGENTS_LOG}"

    assert blamed("srun: error: n[1-2]: tasks 0-1: Exited with exit code 1", *AFTER) == {
        "n1": ("its agent ended with exit code 1", see),
        "n2": ("its agent ended with exit code 1", see),
    }
    assert blamed("srun: error: n2: task 1: Exited with exit code 1", "madctl: n2: no route to n1") == {
        "n2": ("no route to n1", see)
    }


@pytest.mark.parametrize(
    "line",
    [
        "srun: error: n9: task 1: Exited with exit code 66",
        "srun: error: n[1-: task 1: Exited with exit code 66",
        "srun: error: -x;y: task 1: Exited with exit code 66",
        "srun: error: n2: task 1: Exited with exit code 66 or so",
        "srun: error: n[1-99999999]: task 1: Exited with exit code 66",
        "srun: error: Unable to create step",
    ],
)
def test_a_line_that_names_no_missing_node_blames_all_of_them(blamed, line):
    assert {host: why for host, (why, _) in blamed(line).items()} == dict.fromkeys(["n1", "n2", "n3"], line)


def test_nothing_was_printed(blamed):
    assert {why for why, _ in blamed().values()} == {"it is late"}

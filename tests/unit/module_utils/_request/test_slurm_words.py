# SPDX-License-Identifier: Apache-2.0
"""A playbook's words for sbatch are those of the command line, and the same words are refused."""

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._request import slurm_words, validation
from ansible_collections.madctl.multinode.plugins.module_utils._request.variables import OF_SLURM
from madctl import cli
from madctl.request import slurm_options

ROOT = {"slurm_nodes": 2, "run_root": "/shared"}


def parsed(**given):
    found, problems = validation.parsed({**ROOT, **given})
    assert problems == []
    return found


def test_both_doors_write_the_same_words():
    typed = ["--partition", "a", "--gres", "gpu:8", "--time", "1:00", "--exclusive", "--sbatch-args=--mem=0 --x='a b'"]
    options = cli.parsed(["launch", "--on", "slurm", "--nodes", "2", "--run-root", "/shared", *typed, "train.py"])
    given = {"slurm_partition": "a", "slurm_gres": "gpu:8", "slurm_time": "1:00", "slurm_exclusive": True}
    found = slurm_words.words(parsed(**given, slurm_args="--mem=0 --x='a b'"))

    assert sorted(found) == sorted(slurm_options.chosen(options, {}))


def test_every_word_of_the_command_line_is_a_variable_of_the_playbooks():
    assert {f"--{name}" for name in slurm_options._WORDS} == {row.option for row in OF_SLURM}


def test_the_limit_of_the_job_is_above_the_timeout_of_the_run():
    assert slurm_words.words(parsed(timeout="10m")) == ["--time=16"]
    assert slurm_words.words(parsed(timeout="10m", slurm_time="5")) == ["--time=5"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"slurm_nodes": None}, "the number of nodes of the job is missing"),
        ({"nnodes": 3}, "madctl_nnodes 3 exceeds madctl_slurm_nodes 2"),
        ({"run_root": None}, "a job needs a directory that its submitter and all of its nodes see"),
        (
            {"slurm_gres": "gpu:1", "slurm_gpus_per_node": 1},
            "madctl_slurm_gpus_per_node and madctl_slurm_gres exclude each other",
        ),
        ({"slurm_args": "-p x"}, "madctl_slurm_args: '-p' is not --name or --name=value"),
        ({"slurm_args": "--arr=1"}, "madctl_slurm_args: --arr is set by madctl, or makes another kind of job"),
    ],
)
def test_what_cannot_be_had_in_a_job(given, said):
    assert [problem["message"] for problem in slurm_words.contradictions(parsed(**given))] == [said]
    assert slurm_words.contradictions(parsed()) == []

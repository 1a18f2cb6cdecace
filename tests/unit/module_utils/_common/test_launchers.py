# SPDX-License-Identifier: Apache-2.0
"""Launchers inside a launcher, in every disguise that people write, and what only looks like one."""

import shlex

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import launchers
from ansible_collections.madctl.multinode.plugins.module_utils._request import validation
from tests.hostile import LANGUAGES, mutated
from tests.unit.playbook_requests import refusals

LAUNCHERS = [
    "torchrun --nproc-per-node 1 world.py",
    "/opt/venv/bin/torchrun world.py",
    "./torchrun world.py",
    "python -m torch.distributed.run world.py",
    "python3.11 -u -m torch.distributed.launch world.py",
    "python -umtorch.distributed.run world.py",
    "python -W ignore -X dev -m torch.distributed.run world.py",
    "-m torch.distributed.run world.py",
    "-m accelerate.commands.launch world.py",
    "-m deepspeed.launcher.runner world.py",
    "python /opt/lib/torch/distributed/run.py world.py",
    "/opt/lib/torch/distributed/run.py world.py",
    "python /opt/venv/bin/torchrun world.py",
    "env A=1 torchrun world.py",
    "env -i -u HOME PATH=/bin torchrun world.py",
    "env -S 'A=1 torchrun world.py'",
    "A=1 torchrun world.py",
    "env A=1 python -m torch.distributed.run world.py",
    "time -p torchrun world.py",
    "nice -n 5 torchrun world.py",
    "nice -n5 nohup torchrun world.py",
    "timeout -k 5 1h torchrun world.py",
    "taskset -c 0-3 torchrun world.py",
    "numactl --cpunodebind=0 -m 0 torchrun world.py",
    "stdbuf -oL -e L torchrun world.py",
    "sudo -E -u ada torchrun world.py",
    "conda run -n env torchrun world.py",
    "uv run torchrun world.py",
    "bash -c 'torchrun world.py'",
    "bash -lc 'cd /job && exec torchrun world.py'",
    "sh -c 'module load x; A=1 mpirun -np 2 a.out'",
    "bash -c 'if true\nthen torchrun world.py\nfi'",
    "bash -e -c 'python -m torch.distributed.run world.py'",
    "bash /opt/venv/bin/torchrun world.py",
    "accelerate launch world.py",
    "deepspeed world.py",
    "mpirun -np 2 a.out",
    "mpirun.openmpi -np 2 a.out",
    "mpiexec.hydra -n 2 a.out",
    "mpiexec -n 2 a.out",
    "orterun a.out",
    "prterun a.out",
    "srun world",
    "horovodrun -np 2 python world.py",
    "composer world.py",
    "colossalai run world.py",
    "ft_launcher world.py",
    "madctl launch -- world.py",
    "madengine run --tags x",
]
OTHERS = [
    "train.py torchrun",
    "train.py --launcher torchrun",
    "python train.py torchrun",
    "python -c 'import torch.distributed.run'",
    "-m pkg.mod torchrun",
    "bash run.sh torchrun",
    "bash -c 'echo torchrun'",
    "env A=torchrun python train.py",
    "./run.sh",
    "torchrun.sh",
    "/opt/torchrun/run.sh",
    "nice",
    "env",
    "timeout 5",
    'bash -c "\'"',
    "bash",
    "-m",
    "python",
    "mpi_sum.py",
]


@pytest.mark.parametrize("line", LAUNCHERS)
def test_a_launcher_is_seen(line):
    (found,) = validation.work(shlex.split(line), "script")

    assert found["code"] == "WORK_IS_LAUNCHER"
    assert found["remedy"]


@pytest.mark.parametrize("work", ["torchrun world.py", ["env", "A=1", "torchrun", "world.py"]])
def test_a_playbook_is_refused_as_madctl_is(work):
    found = refusals({"work": work, "shape": "script"})

    assert [entry["code"] for entry in found] == ["WORK_IS_LAUNCHER"]


@pytest.mark.parametrize("line", OTHERS)
def test_what_starts_no_ranks_is_none(line):
    assert launchers.launcher(shlex.split(line)) is None


@pytest.mark.parametrize("shape", ["command", "model"])
@pytest.mark.parametrize("line", LAUNCHERS)
def test_a_command_may_be_a_launcher(line, shape):
    assert validation.work(shlex.split(line), shape) == []


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ("torchrun --standalone --nproc_per_node=4 world.py --lr 1", "--nproc-per-node 4 -- world.py --lr 1"),
        ("torchrun --nnodes 2 --node-rank 1 -m pkg.mod --lr 1", "-- -m pkg.mod --lr 1"),
        ("python -m torch.distributed.run --nproc-per-node 2 world.py", "--nproc-per-node 2 -- world.py"),
        ("env A=1 accelerate launch 'a b.py'", "--command -- accelerate launch 'a b.py'"),
        ("mpiexec.hydra -n 2 a.out", "--runner mpirun -- PROGRAM"),
        ("srun a.out", "-- PROGRAM"),
        ("madengine run", "--tags MODEL"),
    ],
)
def test_what_to_write_instead(line, instead):
    (found,) = validation.work(shlex.split(line), "script")

    assert found["remedy"].endswith(instead)


def test_what_to_write_instead_has_an_end():
    (found,) = validation.work(["accelerate", "launch", *["word"] * 1000], "script")

    assert len(found["remedy"]) < 200


@pytest.mark.parametrize(
    ("words", "target"),
    [
        (["-u", "a.py", "-m"], ("script", "a.py", ["-m"])),
        (["-um", "pkg", "x"], ("module", "pkg", ["x"])),
        (["-cprint()", "x"], ("code", "print()", ["x"])),
        (["-W", "error", "--", "-a.py"], ("script", "-a.py", [])),
        (["-", "x"], ("code", "-", ["x"])),
        (["--check-hash-based-pycs", "never", "a.py"], ("script", "a.py", [])),
        (["-m"], ("module", "", [])),
        (["-V"], ("nothing", "", [])),
    ],
)
def test_what_a_python_runs(words, target):
    assert launchers.python_target(words) == target


@pytest.mark.parametrize(
    ("line", "script"),
    [
        ("bash run.sh x", "run.sh"),
        ("bash -x -o pipefail run.sh", "run.sh"),
        ("bash -ec 'true' run.sh", None),
        ("sh -- -odd.sh", "-odd.sh"),
        ("python -u a.py", "a.py"),
        ("perl -e 'print 1'", None),
        ("perl a.pl", "a.pl"),
        ("hostname -f", None),
    ],
)
def test_what_an_interpreter_reads(line, script):
    assert launchers.script_of(shlex.split(line)) == script


@pytest.mark.fuzz
def test_no_words_break_it(rounds):
    seeds = [text.encode("utf-8", "surrogateescape") for text in (*LAUNCHERS, *OTHERS, *LANGUAGES.values())]
    for data in mutated(seeds, rounds):
        words = data.decode("utf-8", "surrogateescape").split(" ")
        for shape in ("script", "command"):
            for found in validation.work(words, shape):
                assert found["code"] in ("WORK_IS_LAUNCHER", "WORK_MISSING", "WORK_INVALID", "USAGE")


@pytest.mark.parametrize(
    "text",
    [
        "python mpirun.py",
        "bash mpirun.sh",
        "./composer --fast",
        "python composer",
        "mpirun-bench.py",
        "tools/prun x",
        "python -m mypkg.distributed.run",
        "tune ls",
        "flux --version",
        "nsys profile python train.py",
    ],
)
def test_a_program_of_one_s_own_may_have_any_name(text):
    assert launchers.launcher(text.split()) is None


@pytest.mark.parametrize(
    "text",
    [
        "numactl --cpunodebind 0 torchrun t.py",
        "timeout --signal KILL 9 torchrun t.py",
        "env --unset X torchrun t.py",
        "uv run --with torch torchrun t.py",
        "uv run -m torch.distributed.run t.py",
        "sudo --user bob torchrun t.py",
        "nsys profile -o out torchrun t.py",
        "setpriv --nnp torchrun t.py",
        "venv/bin/torchrun t.py",
        "/opt/mpi/mpirun.openmpi t.py",
        "flux run -n 4 t.py",
        "tune run --nproc_per_node 8 x",
    ],
)
def test_a_launcher_is_seen_behind_more(text):
    assert launchers.launcher(text.split())


@pytest.mark.parametrize(
    "words", [["env", "--split-string=torchrun t.py"], ["env", "-Storchrun t.py"], ["env", "-vS", "torchrun t.py"]]
)
def test_a_launcher_is_seen_in_a_text_that_env_splits(words):
    assert launchers.launcher(words)[0] == "torchrun"


def test_what_to_write_for_a_module_can_be_run():
    found = launchers.launcher(["python", "-m", "accelerate.commands.launch", "t.py"])

    assert launchers.instead(found).endswith("--command -- python3 -m accelerate.commands.launch t.py")

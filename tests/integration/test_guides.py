# SPDX-License-Identifier: Apache-2.0
"""
Every command of the guides to frameworks and environments is typed into a shell, with the real packages.

What stands in for something is named where it is made. Nodes have no GPUs, so all of it runs on processors, over Gloo.
"""

import os
import subprocess
import zipfile

import pytest

from tests.integration.documents import CLUSTER, GUIDES, TRAIN, name, steps, typed
from tests.integration.reader_shell import BIN, ROOT, Command, File, ReaderShell

PACKAGES = BIN.parent / "frameworks"
pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="the lab needs root"),
    pytest.mark.skipif(not (PACKAGES / ".installed").exists(), reason="not installed: make frameworks"),
]

# Storage that all nodes share and everybody may write; the same environment on the disk of every node.
FRAMEWORKS = f"""
{CLUSTER.strip()}
export PATH={PACKAGES}/bin:$PATH
for packages in {PACKAGES}/lib/python3*/site-packages; do
  cp {ROOT}/tests/integration/at_end.py $packages/sitecustomize.py || return
done
for host in node1 node2; do
  madctl lab exec --name desk $host -- sh -c 'chmod 1777 /shared && ln -s {PACKAGES} /opt/env' || return
done
"""
# Without a GPU, DeepSpeed compiles an operator for minutes, on every node, to use shared memory instead of Gloo. This
# is its own answer on systems that cannot have it.
DEEPSPEED = f"""
{FRAMEWORKS.strip()}
builder=$(echo {PACKAGES}/lib/python3*/site-packages/deepspeed/ops/op_builder/cpu/comm.py)
grep -q "if sys.platform != 'linux':" $builder && sed "s/if sys.platform != 'linux':/if True:/" $builder > ~/.comm.py
for host in node1 node2; do
  madctl lab exec --name desk $host -- sh -c "cat > /opt/comm.py && mount --bind /opt/comm.py $builder" < ~/.comm.py
done || return
"""
# Homes that this machine and all nodes share, and an environment on the disks of three nodes, of which one is older.
# uv installs from the wheels in ~/.wheels, since the real ones have hundreds of megabytes. conda is neither on PyPI nor
# in Debian: a function stands in for what its conda.sh defines, and an environment of uv for one of its own.
ENVIRONMENTS = f"""
{FRAMEWORKS.strip()}
export UV_OFFLINE=1 UV_NO_INDEX=1 UV_FIND_LINKS=~/.wheels UV_CACHE_DIR=~/.cache
shared=$(madctl lab status --name desk --output json | python3 -c 'import json, sys; print(json.load(sys.stdin)["data"]["shared"])')
mkdir $shared/home $shared/home/me && mount --bind $shared/home /home || return
mkdir -p /home/me/miniconda3/etc/profile.d /home/me/miniconda3/envs && cat > /home/me/miniconda3/etc/profile.d/conda.sh <<'END'
conda() {{ export CONDA_PREFIX=/home/me/miniconda3/envs/$2 && PATH=$CONDA_PREFIX/bin:$PATH; }}
END
ln -s /home/me/env /home/me/miniconda3/envs/train
for host in node1 node2 node3; do
  madctl lab exec --name desk $host -- sh -c 'mount --bind /shared/home /home && [ -e /opt/env ] && exit
    {BIN}/python3 -m venv --without-pip /opt/env && cd /opt/env/lib/python3*/site-packages && mkdir torch
    echo "__version__ = \\"2.12.0\\"" > torch/version.py && touch torch/__init__.py' || return
done
"""
PREPARE = {"docs/how_to/deepspeed.md": DEEPSPEED, "docs/how_to/environments.md": ENVIRONMENTS}
# One start more of a framework, or several: typed with --long.
LONG = (
    ("docs/how_to/accelerate.md", "madctl launch --hosts gpu[01-02] --command -- bash run.sh"),
    ("docs/how_to/deepspeed.md", "madctl launch --hosts gpu[01-02] --command -- bash run.sh"),
    (
        "docs/how_to/environments.md",
        "madctl launch --hosts gpu[01-02] \\\n"
        "    --setup 'source /home/me/miniconda3/etc/profile.d/conda.sh; conda activate train' -- train.py",
    ),
    (
        "docs/how_to/hydra.md",
        "madctl launch --hosts gpu[01-02] --shared-path /shared -- train.py -m optimizer.lr=0.01,0.1",
    ),
    (
        "docs/how_to/hydra.md",
        "for lr in 0.01 0.1; do madctl launch --hosts gpu[01-02] --name lr-$lr -- train.py optimizer.lr=$lr || break; done",
    ),
    ("docs/how_to/lightning.md", "madctl launch --hosts gpu[01-02] --shared-path /shared -- train.py /shared/first 3"),
)


@pytest.fixture
def desk(home):
    """The shell of a reader whose files are in a home below /tmp."""
    environment = {"XDG_STATE_HOME": str(home / ".state"), "ANSIBLE_SSH_CONTROL_PATH_DIR": str(home / ".cp")}
    with ReaderShell(home, environment) as shell:
        (home / ".train.py").write_text(TRAIN)
        yield shell


def wheels(directory):
    """Write a wheel called torch that leads to the real one, in the environment of the tests."""
    directory.mkdir()
    packages = next((BIN.parent / "lib").glob("python3*/site-packages"))
    version = next(packages.glob("torch-*.dist-info")).name.split("-")[1].split("+")[0]
    about = f"torch-{version}.dist-info"
    with zipfile.ZipFile(directory / f"torch-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr("torch_of_the_tests.pth", f"{packages}\n")
        wheel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n")
        wheel.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{about}/RECORD", "")


def read_aloud(desk, document, left_out):
    """Type a document from its beginning, without some of its commands."""
    wheels(desk.home / ".wheels")
    code, printed = desk.type(PREPARE.get(name(document), FRAMEWORKS))
    assert code == 0, printed
    for step in steps(document):
        if isinstance(step, File):
            desk.save(step)
        elif (name(document), step.text) not in left_out:
            typed(desk, document, step)


@pytest.mark.parametrize("page", GUIDES)
def test_a_guide_can_be_typed(desk, page):
    read_aloud(desk, ROOT / page, LONG)


@pytest.mark.long
@pytest.mark.parametrize("page", sorted({page for page, _ in LONG}))
def test_a_whole_guide_can_be_typed(desk, page):
    read_aloud(desk, ROOT / page, ())


def test_what_takes_long_is_still_shown():
    shown = {(page, step.text) for page in GUIDES for step in steps(ROOT / page) if isinstance(step, Command)}

    assert set(LONG) <= shown


ALONE = """
from accelerate import Accelerator
print(Accelerator().num_processes, "process")
"""
DEVICES = """
import lightning
from lightning.pytorch.demos.boring_classes import BoringModel
trainer = lightning.Trainer(devices={devices}, fast_dev_run=True, accelerator="cpu", enable_progress_bar=False)
trainer.fit(BoringModel())
print(trainer.world_size, "process")
"""
CONFIGURED = """
from omegaconf import OmegaConf
print(OmegaConf.create({"dir": "${oc.env:NO_RANK}"}).dir)
"""


@pytest.mark.long
@pytest.mark.parametrize(
    ("code", "said"),
    [
        (ALONE, "1 process"),
        (DEVICES.format(devices=1), "1 process"),
        (DEVICES.format(devices=3), "(3 * 1) does not match the world size (2)"),
        (CONFIGURED, "Environment variable 'NO_RANK' not found"),
    ],
    ids=["accelerate without cpu=True", "lightning alone", "lightning with other numbers", "hydra without ranks"],
)
def test_frameworks_fail_as_the_guides_say(code, said, tmp_path):
    (tmp_path / "train.py").write_text(code)
    torchrun = [str(PACKAGES / "bin/python"), "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run([*torchrun, "train.py"], cwd=tmp_path, capture_output=True, text=True, timeout=200)

    assert said in done.stdout + done.stderr

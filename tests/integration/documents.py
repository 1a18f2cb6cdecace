# SPDX-License-Identifier: Apache-2.0
"""What tests of documents share: the steps of a document, and a document held against what its commands do."""

from tests.integration.reader_shell import ROOT, missing, read

# A reader with sixteen hosts would wait for sixteen starts of torch on one machine. What is shown shrinks as well.
SMALLER = {
    "gpu[01-16]": "gpu[01-02]",
    "--nodes 16": "--nodes 2",
    "--gpus-per-node 8": "--gpus-per-node 2",
    "--nodes=16": "--nodes=2",
    "--nnodes 16": "--nnodes 2",
    "--gpus-per-node=8": "--gpus-per-node=2",
    "16 nodes": "2 nodes",
    "all 16 joined": "all 2 joined",
    "16 of 16 ranks": "2 of 2 ranks",
    "16 × 8 = 128 ranks": "2 × 1 = 2 ranks",
    "all 128 joined": "all 2 joined",
    "128 of 128 ranks": "2 of 2 ranks",
    "pod-[0-15]": "pod-[0-1]",
}
# Pages whose readers have the packages of the group frameworks, and shared storage.
GUIDES = tuple(f"docs/how_to/{page}.md" for page in ("accelerate", "deepspeed", "environments", "hydra", "lightning"))
TRAIN = """\
import os, sys
assert sys.argv[1:] in ([], ["--lr", "1e-4"]) and "WORLD_SIZE" in os.environ
print("epoch 1 loss 2.31")
"""


def name(document):
    return str(document.relative_to(ROOT))


def steps(document):
    return list(read(document.read_text()))


def typed(desk, document, step):
    """Type a command, and hold the document against what became of it."""
    text, shown = smaller(step.text), [smaller(line) for line in step.shown]
    code, printed = desk.type(text, seconds=300)  # The demo trains.
    where = f"{name(document)}:{step.line}: {text}"

    assert (code != 0) == step.fails, f"{where}\nended with {code}\n{printed}"
    assert not missing(shown, printed), f"{where}\ndoes not print {missing(shown, printed)} but\n{printed}"


def smaller(text):
    """Return what a document shows of sixteen hosts as it is for two."""
    for long, short in SMALLER.items():
        text = text.replace(long, short)
    return text

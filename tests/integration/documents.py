# SPDX-License-Identifier: Apache-2.0
"""What tests of documents share: the steps of a document, and a document held against what its commands do."""

import os
import sys
from pathlib import Path

from docs.recordings import durations
from tests.integration.reader_shell import BIN, ROOT, is_like, missing, read

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
# Four hosts by the names that documents use, and a user who is not root there.
CLUSTER = f"""
[ "$PWD" != ~ ] || {{ mkdir ~/work && cd ~/work; }}
export PATH={BIN}:$PATH && cp ~/.train.py train.py && madctl lab up -n 4 --name desk || return
directory=$(dirname "$(madctl lab ssh-config --name desk)")
sed 's/node\\([1-4]\\)/gpu0\\1/g; s/User root/User trainer/' $directory/ssh_config > ~/.cluster
touch /etc/ssh/ssh_config && mount --bind ~/.cluster /etc/ssh/ssh_config
for host in node1 node2 node3 node4; do
  madctl lab exec --name desk $host -- sh -c 'useradd --create-home --uid 2001 trainer && usermod -p "*" trainer
    sed -i "s/node\\([1-4]\\)/gpu0\\1/g" /etc/hosts
    for path in {BIN} {Path(sys.executable).resolve()}; do
      while path=$(dirname $path); [ $path != / ]; do chmod a+x $path 2>/dev/null; done
    done; ln -s {BIN.parent} /opt/venv' || return
done
"""


def name(document):
    return str(document.relative_to(ROOT))


def steps(document):
    return list(read(document.read_text()))


def typed(desk, document, step):
    """Type a command, hold the document against what became of it, and return what was printed."""
    text, shown = smaller(step.text), [smaller(line) for line in step.shown]
    code, printed = desk.type(text)
    where = f"{name(document)}:{step.line}: {text}"

    assert (code != 0) == step.fails, f"{where}\nended with {code}\n{printed}"
    assert not missing(shown, printed), f"{where}\ndoes not print {missing(shown, printed)} but\n{printed}"
    if os.environ.get("MADCTL_RENEW_DURATIONS"):
        first = step.line + step.text.count("\n") + 1
        # What ran on fewer hosts than the page says did not take as long.
        measured = [line if line == less else "" for line, less in zip(step.shown, shown)]
        durations.renew(document, first, measured, printed, is_like)
    return printed


def smaller(text):
    """Return what a document shows of sixteen hosts as it is for two."""
    for long, short in SMALLER.items():
        text = text.replace(long, short)
    return text

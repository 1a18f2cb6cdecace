# SPDX-License-Identifier: Apache-2.0
"""Train a small model on all ranks, save a checkpoint after every epoch, and continue from the last one."""

import argparse
import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
import torch.distributed.nn  # noqa: F401  (imported later, it would keep the process group)
from torch.nn import Linear, ReLU, Sequential
from torch.nn.functional import mse_loss
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--checkpoint", type=Path, required=True, help="file in a directory that all nodes share")
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--steps", type=int, default=200, help="steps per epoch")
parser.add_argument("--break-rank", type=int, help="let this rank fail before the last epoch, to see what happens")
options = parser.parse_args()

dist.init_process_group("gloo")
show = sys.excepthook


def end(kind, *error):
    """End at once, unless a peer did: Python would close the group first, and peers could end before this rank."""
    show(kind, *error)
    if not issubclass(kind, RuntimeError):  # as the group raises for a connection that was closed
        os._exit(1)


sys.excepthook = end
rank = dist.get_rank()
torch.manual_seed(rank)  # Each rank has its own data; the model is that of rank 0.
model = DistributedDataParallel(Sequential(Linear(8, 64), ReLU(), Linear(64, 1)))
optimizer = torch.optim.Adam(model.parameters())
done = 0
if options.checkpoint.exists():
    saved = torch.load(options.checkpoint, weights_only=True)
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    done = saved["epochs"]
    if rank == 0:
        print(f"continuing after epoch {done}")

for epoch in range(done + 1, options.epochs + 1):
    if rank == options.break_rank and epoch == options.epochs:
        raise ValueError("loss is NaN")
    bar = tqdm(range(options.steps), desc=f"epoch {epoch}", disable=rank != 0)
    for _ in bar:
        inputs = torch.randn(128, 8)
        loss = mse_loss(model(inputs), inputs.sum(1, keepdim=True))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        bar.set_postfix(loss=f"{loss.item():.4f}")
    if rank == 0:
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epochs": epoch}
        # Renamed when it is whole: a job that ends here leaves the old one.
        partial = options.checkpoint.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(options.checkpoint)
        print(f"epoch {epoch}: loss {loss.item():.4f}, saved {options.checkpoint}")
    dist.barrier()  # No rank is ahead of the checkpoint.
del model  # It holds the process group, whose threads must end before Python does.
dist.destroy_process_group()

# SPDX-License-Identifier: Apache-2.0
"""Fit a line on all ranks; replace this by your training."""

import argparse

import torch
import torch.distributed as dist
import torch.distributed.nn  # noqa: F401  (imported later, it would keep the process group)
from torch.nn.parallel import DistributedDataParallel

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--epochs", type=int, default=100)
options = parser.parse_args()

dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
if torch.cuda.is_available():
    torch.cuda.set_device(dist.get_node_local_rank())
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
torch.manual_seed(dist.get_rank())  # Each rank has its own data.
model = DistributedDataParallel(torch.nn.Linear(1, 1).to(device))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(options.epochs):
    inputs = torch.randn(64, 1, device=device)
    loss = torch.nn.functional.mse_loss(model(inputs), 3 * inputs + 1)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
if dist.get_rank() == 0:
    print(f"loss {loss.item():.4f} after {options.epochs} epochs", flush=True)
del model  # It holds the process group, whose threads must end before Python does.
dist.destroy_process_group()

# SPDX-License-Identifier: Apache-2.0
"""Every rank contributes its number plus one; the sum shows that all of them met."""

import socket

import torch
import torch.distributed as dist

dist.init_process_group("gloo")
rank, world_size = dist.get_rank(), dist.get_world_size()
total = torch.tensor([rank + 1.0])
dist.all_reduce(total)
expected = world_size * (world_size + 1) / 2
print(f"rank {rank} of {world_size} on {socket.gethostname()}: sum {total.item():g}, expected {expected:g}")
dist.destroy_process_group()
assert total.item() == expected

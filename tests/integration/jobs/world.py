"""Add ones over the world, and say how many there were."""

import torch
import torch.distributed as dist

dist.init_process_group("gloo")
ones = torch.ones(1)
dist.all_reduce(ones)
print("WORLD", dist.get_world_size(), "RANK", dist.get_rank(), "SUM", int(ones.item()), flush=True)
dist.destroy_process_group()

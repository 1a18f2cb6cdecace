# SPDX-License-Identifier: Apache-2.0
"""All ranks add up their numbers, and each writes what came out on its own host."""

import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist

dist.init_process_group("gloo")
total = torch.tensor([dist.get_rank() + 1.0])
dist.all_reduce(total)
directory = Path(sys.argv[1])
directory.mkdir(exist_ok=True)
(directory / f"rank-{dist.get_rank()}").write_text(f"{total.item():g} {os.environ['GREETING']}")
dist.destroy_process_group()

"""Print a line now and then, except rank 1, which only computes, and rank 2, which does neither."""

import os
import time

rank = os.environ["RANK"]
print("begins", flush=True)
while True:
    if rank == "1":
        continue
    time.sleep(0.2)
    if rank != "2":
        print(rank, flush=True)

#!/bin/sh
# A launcher that no look at the command line shows.
exec "$1" -m torch.distributed.run --nproc-per-node 1 world.py

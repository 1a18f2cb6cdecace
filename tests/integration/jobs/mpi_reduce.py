import os

from mpi4py import MPI

world = MPI.COMM_WORLD
total = world.allreduce(world.rank + 1)
names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "NODE_RANK", "GLOO_SOCKET_IFNAME")
own = " ".join(f"{name}={os.environ[name]}" for name in names)
print(f"MPI {world.rank} of {world.size} on {os.uname().nodename}: sum {total} {own}", flush=True)

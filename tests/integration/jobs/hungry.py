"""Put itself into a small memory group and ask for more than that: ``hungry.py GROUP``; rank 1 only."""

import os
import sys
import time

if os.environ["RANK"] == "1":
    group = "/sys/fs/cgroup/memory/" + sys.argv[1]
    os.mkdir(group)
    with open(group + "/memory.limit_in_bytes", "w") as limit:
        limit.write(str(64 << 20))
    with open(group + "/cgroup.procs", "w") as members:
        members.write("0")
    held = []
    while True:
        held.append(b"x" * (1 << 20))
time.sleep(300)

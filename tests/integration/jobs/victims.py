"""Rank 1 fails, and all others a little later, because they have lost it."""

import os
import socket
import sys
import time

# Beside torchrun's own port; the world's ranks 1 and 2 hold on to rank 0.
place = (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]) + 1)
if os.environ["RANK"] == "0":
    listener = socket.create_server(place)
    others = [listener.accept()[0] for _ in range(2)]
    peers = dict(zip((other.recv(1) for other in others), others))
    peers[b"1"].recv(1)
    peers[b"2"].close()
else:
    deadline = time.monotonic() + 60
    while True:
        try:
            first = socket.create_connection(place)
            break
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    first.send(os.environ["RANK"].encode())
    if os.environ["RANK"] == "1":
        print("the cause", flush=True)
        sys.exit(9)
    first.recv(1)
# Longer than clocks of hosts may seem to differ on a busy machine: the order of failures is judged by them.
time.sleep(2)
sys.exit(1)

"""Print so many bytes as fast as it goes: ``flood.py BYTES``; rank 0 only."""

import os
import sys

if os.environ["RANK"] == "0":
    block = (b"x" * 1023 + b"\n") * 1024
    for _ in range(int(sys.argv[1]) // len(block)):
        os.write(1, block)
    os.write(1, b"the end\n")

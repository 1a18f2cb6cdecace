"""Rank 1 fails, and all others a little later, as whoever lost a peer does."""

import os
import sys
import time

if os.environ["RANK"] == "1":
    print("the cause", flush=True)
    sys.exit(9)
time.sleep(0.3)
sys.exit(1)

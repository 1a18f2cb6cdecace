"""Print numbered lines for a while: ``count.py SECONDS``."""

import os
import sys
import time

end = time.monotonic() + float(sys.argv[1])
number = 0
while time.monotonic() < end:
    number += 1
    print(f"{os.environ['RANK']} line {number} {'y' * (number % 200)}", flush=True)
    time.sleep(0.01)

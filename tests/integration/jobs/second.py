"""Fail the first time that it runs, succeed the second time: ``second.py MARK``."""

import os
import sys
import time

if os.environ["RANK"] == "1" and not os.path.exists(sys.argv[1]):
    open(sys.argv[1], "w").close()
    sys.exit(3)
if not os.environ["MADCTL_RUN_ID"].endswith(".1"):
    time.sleep(300)
print("this time", os.environ["MADCTL_RUN_ID"], flush=True)

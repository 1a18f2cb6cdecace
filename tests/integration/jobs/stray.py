"""Start what is hard to find, then wait or end: ``stray.py KIND… [exit N]``."""

import os
import subprocess
import sys
import time

if "daemon" in sys.argv and os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(300)
    os._exit(0)
if "bare" in sys.argv:
    # Without a mark in its environment, in a session of its own.
    subprocess.Popen(["env", "-i", "sleep", "300"], start_new_session=True)
if "deaf" in sys.argv:
    subprocess.Popen(["sh", "-c", "trap '' TERM; sleep 300; sleep 300"], start_new_session=True)
print("strayed", os.environ["RANK"], flush=True)
if "exit" in sys.argv:
    sys.exit(int(sys.argv[-1]))
time.sleep(300)

import os
import subprocess
import sys
import time

if "leak" in sys.argv:
    subprocess.Popen(["sleep", "300"], start_new_session=True)
if "stubborn" in sys.argv:
    import signal

    signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("waiting", os.environ["RANK"], flush=True)
time.sleep(300)

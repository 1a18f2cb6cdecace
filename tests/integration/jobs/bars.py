"""
Draw a bar, then two that are nested, as training scripts do, and print in colours.

Each bar that is not around another waits in its middle until somebody makes a file of its name in ``/run/bars``.
"""

import os
import time

from tqdm import tqdm


def steps(number, name, waits=True):
    for step in tqdm(range(number), desc=name, mininterval=0.01):
        time.sleep(0.06)
        while waits and step == number // 2 and not os.path.exists(f"/run/bars/{name}"):
            time.sleep(0.02)
        yield step


for _ in steps(20, "load"):
    pass
for epoch in steps(2, "epochs", waits=False):
    for _ in steps(20, f"batch {epoch}"):
        pass
print("\x1b[31mred\x1b[0m \x1b[2Jplain")

"""Draw a bar, then two that are nested, as training scripts do, and print in colours."""

import time

from tqdm import tqdm


def steps(number, name):
    for step in tqdm(range(number), desc=name, mininterval=0.01):
        time.sleep(0.06)
        yield step


for _ in steps(20, "load"):
    pass
for epoch in steps(2, "epochs"):
    for _ in steps(20, f"batch {epoch}"):
        pass
print("\x1b[31mred\x1b[0m \x1b[2Jplain")

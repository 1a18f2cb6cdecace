"""Leave an error file, as torch's ``record`` does: rank 1 only."""

import os
import time

from torch.distributed.elastic.multiprocessing.errors import record


@record
def main():
    if os.environ["RANK"] == "1":
        raise ValueError("the loss is nan")
    time.sleep(300)


main()

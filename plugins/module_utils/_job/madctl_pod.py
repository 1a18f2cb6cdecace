# SPDX-License-Identifier: Apache-2.0
"""
Run as the first process of a pod: unpack our programs, which are beside this file, and start the one for pods.

Private to the collection.
"""

import os
import sys
import tempfile
import zipfile

PARCEL, LAUNCHER, PROGRAM = "programs.zip", "madctl_job.py", "_job.pod"


def main() -> None:
    """Unpack the programs, and replace this process by the one for pods."""
    place = tempfile.mkdtemp(prefix="madctl-")
    with zipfile.ZipFile(os.path.join(os.path.dirname(os.path.abspath(__file__)), PARCEL)) as parcel:
        parcel.extractall(place)
    os.execv(sys.executable, [sys.executable, "-I", "-S", os.path.join(place, LAUNCHER), PROGRAM])


if __name__ == "__main__":
    main()

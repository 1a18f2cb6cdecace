# SPDX-License-Identifier: Apache-2.0
"""One test at a time has supervisors on this machine."""

import contextlib
import fcntl


@contextlib.contextmanager
def held(tmp_path_factory):
    """Keep the supervisors of other workers' tests away meanwhile: they look for runs on the whole machine."""
    with open(tmp_path_factory.getbasetemp().parent / "supervisors.lock", "w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield

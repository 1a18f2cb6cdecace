# SPDX-License-Identifier: Apache-2.0
"""
The signals that a user may have a scheduler send to the ranks of a job.

The conductor receives them and passes them on to every supervisor; none of our other programs obey them. Data only;
private to the collection.
"""

from __future__ import annotations

import signal

# Not those that have a meaning for our programs or the kernel: SIGTERM ends a job, and SIGCONT wakes it.
FOR_RANKS = (
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGALRM,
    signal.SIGWINCH,
)

# SPDX-License-Identifier: Apache-2.0
"""
The signals that a user may have a scheduler send to the ranks of a job.

The conductor gets them, and tells every supervisor; nothing else of ours obeys them. Data only; private to the
collection.
"""

from __future__ import annotations

import signal

# Not those that mean something to our programs or the kernel: a job is ended by SIGTERM, and woken by SIGCONT.
FOR_RANKS = (
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGALRM,
    signal.SIGWINCH,
)

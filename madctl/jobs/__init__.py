# SPDX-License-Identifier: Apache-2.0
"""
Runs inside a scheduler's job: submitted from this machine, and followed through files on shared storage.

    slurm       calls of Slurm's own programs (the only file that starts them)
    place       the directory of a job: made and read here
    reading     which part of its story a reader wants
    ends        what the end of a job means for its run
    standing    the state of a run, from its directory and the scheduler
"""

# SPDX-License-Identifier: Apache-2.0
"""
Runs inside of a scheduler's job: submitted from here, conducted there, followed through files on shared storage.

    slurm       the words of Slurm's own programs (the only file that starts them)
    place       the directory of a job: made here, read here
    reading     what of its story a reader wants
    ends        what the end of a job means for its run
    standing    the state of a run, from its directory and the scheduler
"""

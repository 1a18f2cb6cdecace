# SPDX-License-Identifier: Apache-2.0
"""
The names of a job's files on shared storage, which the submitter and the conductor in the job write and read.

Only their user may enter the directory. Private to the collection.
"""

from __future__ import annotations

import os

# Written by the submitter: what to run, removed as soon as it was read, as it may hold secrets; the key of all agents;
# the script; how the job was submitted.
REQUEST, KEY, SCRIPT, SUBMISSION = "request.json", "agents.key", "job.sh", "submit.json"
# In a request, under ``only``: what to do instead of launching.
ONLY_CHECK = "check"
# Written in the job: the frames of all events and output; the state, repeatedly; how the run ended; what the
# scheduler's own programs print.
STORY, STATE, RESULT = "story", "state.json", "result.json"
# Written when a run is restarted in its job: the plan that holds from then on. The story begins with the first one.
PLAN = "plan.json"
JOB_LOG, AGENTS_LOG = "job.log", "agents.log"
# At the end: what each node keeps, ``HOST.pack``, in the format that ``collect`` fetches.
KEPT, PACK = "nodes", ".pack"
# Beside these while the run continues: the latest sample of each node.
SAMPLES = ".samples.json"
# A job that Slurm requeues starts again in the same directory; the files of the later attempts are below this one.
ATTEMPTS = "attempts"
# An order of the user: the conductor looks for it when it is signalled, and every few seconds.
ORDER = "order"
# How often the state is written, in seconds.
BEAT_SECONDS = 5.0

# Beside the directories of runs, once for all runs that use the same programs: the directory, followed by the hash of
# its content; in it, the file that starts a program, beside the modules.
PROGRAMS = "job-bin-"
LAUNCHER, MODULES = "madctl_job.py", "modules"
# The program of a job, by its module.
CONDUCTOR = "_job.conduct"


def of_attempt(place: str, number: int) -> str:
    """Return where an attempt writes its story, state and result; the first one is number 0."""
    return os.path.join(place, ATTEMPTS, str(number)) if number else place

# SPDX-License-Identifier: Apache-2.0
"""
Collect our files for a job, on shared storage or in a parcel: its programs, and everything that these send to nodes.

The list is computed from the imports, and from the names of functions that are called on nodes. Private to the
collection.
"""

from __future__ import annotations

import re
from typing import Dict, List, Sequence

from ansible_collections.madctl.multinode.plugins.module_utils._common import job_directory
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import bundles
from ansible_collections.madctl.multinode.plugins.module_utils._node import own_sources

# In a Slurm job: the conductor and the agents; in a pod, one program is both.
IN_SLURM, IN_POD = (job_directory.CONDUCTOR, "_ways.slurm"), ("_job.pod",)
_LAUNCHER = "_job.madctl_job"
_CALLED = re.compile(r'"(_[a-z]+\.[a-z_]+):[a-z_]+"')


def files(started: Sequence[str] = IN_SLURM) -> Dict[str, str]:
    """
    Return the text of every file, by its path below the directory of programs.

    Args:
        started: The programs that a job starts.
    """
    names: List[str] = [*bundles.closure(*started, "_node.own_sources", "_node.agent"), *bundles.programs()]
    for name in names:
        called = _CALLED.findall(own_sources.text(name))
        names += [module for module in bundles.closure(*called) if module not in names]
    found = {"%s/%s.py" % (job_directory.MODULES, name.replace(".", "/")): own_sources.text(name) for name in names}
    found[job_directory.LAUNCHER] = own_sources.text(_LAUNCHER)
    return found

# SPDX-License-Identifier: Apache-2.0
"""
Remove the containers of a run, after all its other processes on this node have ended.

Started as ``madctl_node.py container_removal RUN_ID``. Private to the collection.
"""

from __future__ import annotations

import sys

from ansible_collections.madctl.multinode.plugins.module_utils._node import docker


def main() -> None:
    """Remove the containers of the run that the first word names."""
    docker.remove_of(sys.argv[1])

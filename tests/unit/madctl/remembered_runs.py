# SPDX-License-Identifier: Apache-2.0
"""A run of two nodes, and nodes that are asked for it."""

from ansible_collections.madctl.multinode.plugins.module_utils._request.hostlist import Host
from madctl.nodes import inventory
from madctl.nodes.inventory import Targets

RUN = "20261101-120000-aaaaaaaa"
PLAN = {"runner": "torchrun", "shape": "script", "master_addr": "a", "master_port": 1, "nnodes": 2, "world_size": 2}


def asked(*names, user=None, sources=()):
    return Targets(names, inventory.build([Host(name) for name in names], user, None, ""), sources)

# SPDX-License-Identifier: Apache-2.0
"""The table of what the stages of a command cost."""

from ansible_collections.madctl.multinode.plugins.module_utils._show import timing_table

EVENT = {
    "event": "timed",
    "stages": [
        {"name": "reach, probe", "seconds": 12.25, "own": 0.5, "children": 0.125},
        {"name": "plan", "seconds": 0.5, "own": 0.25, "children": 0.0},
    ],
    "nodes": 4,
    "sessions": 5,
    "starts": 6,
    "sent": 4096,
    "received": 2048,
}


def test_every_stage_has_a_line_and_columns_stand_below_each_other():
    assert timing_table.lines(EVENT) == [
        "STAGE             WALL      CPU  CHILDREN",
        "reach, probe  12.250 s  0.500 s   0.125 s",
        "plan           0.500 s  0.250 s   0.000 s",
        "total         12.750 s  0.750 s   0.125 s",
        "4 nodes, 5 sessions, 1.5 Python starts per node, 1.0 KiB sent per node, 0.5 KiB received per node",
    ]


def test_one_node_is_no_plural():
    assert timing_table.lines({**EVENT, "nodes": 1})[-1].startswith("1 node, 5 sessions, 6 Python starts per node")

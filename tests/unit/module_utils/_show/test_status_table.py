# SPDX-License-Identifier: Apache-2.0
"""Runs as a table."""

from ansible_collections.madctl.multinode.plugins.module_utils._show import status_table


def test_runs_are_lines_with_all_that_their_nodes_know():
    about = {"created": 1.0, "work": ["train.py", "a b"]}
    known = {"n1": {"state": "exited", "described": None}, "n2": {"state": "running", "described": about}}
    header, one, other = status_table.of_runs({"r1": known, "r2": {"n3": {"state": "lost", "described": None}}})

    assert header.split() == ["RUN", "STARTED", "STATE", "NODES", "WORK"]
    assert [cell.strip() for cell in one.split("  ") if cell] == [
        "r1",
        status_table.started(1.0),
        "exited,running",
        "n[1-2]",
        "train.py 'a b'",
    ]
    assert other.split() == ["r2", "-", "lost", "n3", "-"]

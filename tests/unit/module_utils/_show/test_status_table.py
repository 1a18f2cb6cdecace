# SPDX-License-Identifier: Apache-2.0
"""Runs as a table."""

from ansible_collections.madctl.multinode.plugins.module_utils._show import status_table


def cells(line):
    return [cell.strip() for cell in line.split("  ") if cell]


def test_runs_are_lines_with_their_names_and_verdicts():
    known = {"run_id": "r1", "name": "big", "created": 1.0, "status": "failed", "cause": "n1 rank 3: exit code 1"}
    known.update(duration_seconds=43.2, hosts=["n1", "n2"], work="train.py 'a b'")
    bare = {"run_id": "-x", "name": None, "created": None, "status": "unknown", "cause": None, "hosts": ["n3"]}
    bare.update(duration_seconds=None, work=None)
    header, one, other = status_table.of_runs([known, bare])

    assert header.split() == ["RUN", "NAME", "VERDICT", "DURATION", "STARTED", "NODES", "WORK"]
    assert cells(one) == [
        "r1",
        "big",
        "failed: n1 rank 3: exit code 1",
        "43 s",
        status_table.started(1.0),
        "n[1-2]",
        "train.py 'a b'",
    ]
    assert cells(other) == ["'-x'", "-", "unknown", "-", "-", "n3", "-"]

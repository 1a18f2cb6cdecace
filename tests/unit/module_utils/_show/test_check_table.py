# SPDX-License-Identifier: Apache-2.0
"""The table of nodes and checks."""

from ansible_collections.madctl.multinode.plugins.module_utils._common import catalog
from ansible_collections.madctl.multinode.plugins.module_utils._show import check_table

GENERAL = {"code": "NO_GPU", "host": None}
HUNG = {"code": "MOUNT_HUNG", "host": "n2"}
DARK = {"code": "HOST_UNREACHABLE", "host": "n3"}
SILENT = {"n3": [name for name in catalog.NAMES if name != "reach"]}


def test_cells():
    table = check_table.cells(["n1", "n2", "n3"], [HUNG, DARK], [GENERAL], SILENT)

    assert (table["n1"]["gpus"], table["n1"]["storage"], table["n1"]["reach"]) == ("warn", "ok", "ok")
    assert table["n2"]["storage"] == "FAIL"
    assert (table["n3"]["reach"], table["n3"]["gpus"]) == ("FAIL", "-")


def test_nodes_with_the_same_result_share_a_line_and_columns_are_aligned():
    lines = check_table.lines(check_table.cells(["n1", "n2", "n3"], [HUNG], [], {}), ",".join)

    assert len(lines) == 3
    assert lines[1].startswith("n1,n3")
    assert lines[2].index("FAIL") == lines[0].index("storage")


def test_checks_of_other_work_are_no_columns():
    without = check_table.cells(
        ["n1", "n2"], [], [], dict.fromkeys(["n1", "n2"], ["mpi", "madengine", "context", "storage"])
    )
    mixed = check_table.cells(["n1", "n2"], [], [], {"n1": ["mpi"]})

    assert {"mpi", "madengine", "context", "storage"} & set(check_table.lines(without, ",".join)[0].split()) == {
        "storage"
    }
    assert "mpi" in check_table.lines(mixed, ",".join)[0].split()


def test_every_address_has_a_verdict():
    row = {"interface": "ib0", "address": "198.51.100.1", "network": "198.51.100.0/24", "verdict": "chosen"}

    assert check_table.network_lines({"n1": [row]})[1].split() == ["n1", "ib0", "198.51.100.1", "chosen"]


def test_names_are_folded_and_none_is_lost():
    assert check_table.fold([f"gpu{n:02}" for n in range(1, 17)]) == "gpu[01-16]"
    assert check_table.fold(["node3", "node1", "login", "node2", "node10", "node9"]) == "node[1-3,9-10],login"
    assert check_table.fold(["10.0.0.1", "10.0.0.2", "fe80::1", "fe80::2"]) == "10.0.0.[1-2],fe80::1,fe80::2"
    assert check_table.fold(["n01", "n1", "a", "a"]) == "n01,n1,a"
    assert check_table.fold([]) == ""

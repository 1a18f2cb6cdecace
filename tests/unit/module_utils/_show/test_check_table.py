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
    lines = check_table.lines(check_table.cells(["n1", "n2", "n3"], [HUNG], [], {}))

    assert len(lines) == 3
    assert lines[1].startswith("n[1,3]")
    assert lines[2].index("FAIL") == lines[0].index("storage")


def test_checks_of_other_work_are_no_columns():
    without = check_table.cells(
        ["n1", "n2"], [], [], dict.fromkeys(["n1", "n2"], ["mpi", "madengine", "context", "storage"])
    )
    mixed = check_table.cells(["n1", "n2"], [], [], {"n1": ["mpi"]})

    assert {"mpi", "madengine", "context", "storage"} & set(check_table.lines(without)[0].split()) == {"storage"}
    assert "mpi" in check_table.lines(mixed)[0].split()


def test_every_address_has_a_verdict():
    row = {"interface": "ib0", "address": "198.51.100.1", "network": "198.51.100.0/24", "verdict": "chosen"}

    assert check_table.network_lines({"n1": [row]})[1].split() == ["n1", "ib0", "198.51.100.1", "chosen"]

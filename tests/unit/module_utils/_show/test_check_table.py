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


def test_a_node_that_was_left_out_is_not_in_the_table():
    table = check_table.cells(["n1"], [], [{"code": "NODE_REPLACED", "host": "n2"}, GENERAL], {})

    assert list(table) == ["n1"] and table["n1"]["gpus"] == "warn"


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


def checked(problems=(), warnings=(), silent=()):
    other = ["mpi", "madengine", "context"]
    not_run = {host: [*other, "storage", *dict(silent).get(host, ())] for host in ("n1", "n2", "n3")}
    return check_table.cells(["n1", "n2", "n3"], problems, warnings, not_run)


LINK = {"code": "INTERFACE_DOWN", "host": "n2"}


def test_a_table_that_does_not_fit_has_only_what_found_something():
    assert check_table.lines(checked([LINK], [GENERAL]), 80) == [
        "NODE    network  gpus",
        "n[1,3]  ok       warn",
        "n2      FAIL     warn",
        "all other checks: ok; not run: storage",
    ]


def test_a_table_that_is_still_too_wide_is_a_list():
    assert check_table.lines(checked([LINK], [GENERAL]), 20) == [
        "CHECK    RESULT  NO…",
        "network  FAIL    n2",
        "gpus     warn    n[…",
        "all other checks: ok; not run: storage",
    ]


def test_where_nothing_was_found_no_table_is_needed():
    assert check_table.lines(checked(), 60) == ["all checks of n[1-3]: ok; not run: storage"]


def test_a_check_that_did_not_run_is_not_ok():
    dark = checked([DARK], silent=SILENT.items())
    unproved = checked([LINK], silent={host: ["proof"] for host in ("n1", "n2", "n3")}.items())

    assert check_table.lines(dark, 80)[-1] == "all other checks: ok; not run: storage; not all run on n3"
    assert check_table.lines(unproved, 80)[-1] == "all other checks: ok; not run: storage, proof"
    nothing = check_table.cells(["n3"], [DARK], [], SILENT)
    assert check_table.lines(nothing, 80) == ["NODE  reach", "n3    FAIL", "all other checks: not run"]


def test_colours_only_if_told():
    plain, coloured = (check_table.lines(checked([LINK]), 80, has_colours) for has_colours in (False, True))

    assert "\x1b" not in "".join(plain)
    assert "\x1b[31mFAIL\x1b[0m" in coloured[2]
    assert coloured[-1].startswith("\x1b[2mall other checks")
    assert [line.replace("\x1b[31m", "").replace("\x1b[2m", "").replace("\x1b[0m", "") for line in coloured] == plain

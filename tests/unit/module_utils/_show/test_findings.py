# SPDX-License-Identifier: Apache-2.0
"""What an inspection found, small however many nodes there are."""

import json

from ansible_collections.madctl.multinode.plugins.module_utils._show import findings


def test_nodes_with_the_same_are_told_once():
    checks = {f"n{number}": {"reach": "ok", "gpus": "warn" if number == 3 else "ok"} for number in range(1000)}
    prints = {f"n{number}": {"torch": "2.13", "space": {"run_free": number}} for number in range(1000)}
    found = findings.told(checks, prints)

    assert [(len(group["hosts"]), group["row"]["gpus"]) for group in found["checks"]] == [(999, "ok"), (1, "warn")]
    assert found["prints"] == [{"hosts": list(prints), "row": {"torch": "2.13"}}]


def test_nodes_that_all_differ_are_not_all_told():
    prints = {f"n{number}": {"kernel": "x" * 200, "user": str(number)} for number in range(10_000)}

    assert len(json.dumps(findings.told({}, prints))) < 1 << 16

# SPDX-License-Identifier: Apache-2.0
"""Every way in which a proof can end, judged."""

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils import _verdict

HEAD = {"listen": {"address": "198.51.100.1", "ports": [29500, 0]}, "read": [], "written": []}
OTHER = {"connect": {"address": "198.51.100.1", "source": "198.51.100.2"}, "read": [], "written": []}
FINE = {"listen": None, "connect": [], "read": [], "peers": {}}


def judge(head=FINE, other=FINE):
    return _verdict.judge({"n1": HEAD, "n2": OTHER}, {"n1": head, "n2": other})


def tried(*errors):
    return {**FINE, "connect": [{"port": port, "error": error} for port, error in zip((29500, 40001), errors)]}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("ECONNREFUSED", "CONNECT_REFUSED"),
        ("ETIMEDOUT", "CONNECT_FILTERED"),
        ("ENETUNREACH", "CONNECT_NO_ROUTE"),
        ("EHOSTUNREACH", "CONNECT_NO_ROUTE"),
        ("ELSEWHERE", "CONNECT_ELSEWHERE"),
        ("EADDRNOTAVAIL", "CONNECT_FAILED"),
    ],
)
def test_ways_to_fail_are_told_apart(error, code):
    (found,) = judge(other=tried(error, error))

    assert (found["code"], found["host"]) == (code, "n2")
    assert "198.51.100.2 → 198.51.100.1 port 29500" in found["message"]


def test_only_the_master_port_is_open():
    (found,) = judge(other=tried(None, "ETIMEDOUT"))

    assert found["code"] == "CONNECT_FILTERED"
    assert "port 40001" in found["message"]
    assert "port 29500 answers" in found["message"]


@pytest.mark.parametrize(("error", "code"), [("EADDRINUSE", "PORT_IN_USE"), ("EACCES", "PORT_UNUSABLE")])
def test_the_first_node_cannot_listen(error, code):
    (found,) = judge(head={**FINE, "listen": error})

    assert (found["code"], found["host"]) == (code, "n1")


def test_peers_and_nodes_that_did_not_report():
    found = judge(head={"msg": "no answer"}, other={**FINE, "peers": {"n1": "127.0.1.1"}})

    assert [(entry["code"], entry["host"]) for entry in found] == [("PROOF_FAILED", "n1"), ("PEER_IS_LOOPBACK", "n2")]


def test_all_well():
    assert judge(other=tried(None, None)) == []

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


ROUTES = {"source": "198.51.100.2", "devices": ["ib0"]}


def routed(result, **other):
    wanted = {**OTHER, "routes": ROUTES}
    return _verdict.judge({"n1": HEAD, "n2": wanted}, {"n1": FINE, "n2": {**FINE, **other, "routes": result}})


def test_a_peer_that_is_reached_over_another_card():
    (found,) = routed({"eno1": ["198.51.100.3", "198.51.100.4"]})

    assert (found["code"], found["host"]) == ("ROUTE_ELSEWHERE", "n2")
    assert found["message"] == "198.51.100.3 and 1 more are reached over eno1, not ib0"
    assert "ip route get 198.51.100.3 from 198.51.100.2" in found["remedy"]


def test_a_peer_without_a_route():
    (found,) = routed({"": ["198.51.100.3"]})

    assert (found["code"], found["message"]) == ("CONNECT_NO_ROUTE", "198.51.100.2 finds no route to 198.51.100.3")


def test_what_has_one_cause_is_said_once():
    silent = [{"port": 29500, "error": "ETIMEDOUT"}]
    unreached = [{"port": 29500, "error": "EHOSTUNREACH"}]

    assert [entry["code"] for entry in routed({"eno1": ["198.51.100.1"]}, connect=silent)] == ["ROUTE_ELSEWHERE"]
    assert [entry["code"] for entry in routed({"": ["198.51.100.1"]}, connect=unreached)] == ["CONNECT_NO_ROUTE"]
    assert [entry["code"] for entry in routed({"eno1": ["198.51.100.3"]}, connect=silent)] == [
        "CONNECT_FILTERED",
        "ROUTE_ELSEWHERE",
    ]


@pytest.mark.parametrize("answer", [[], ["x"], {"eno1": []}, {"eno1": [7]}, {"eno1": "x"}, 7])
def test_an_answer_about_routes_that_cannot_be_meant(answer):
    assert [entry["code"] for entry in routed(answer)] == (["PROOF_FAILED"] if answer else [])

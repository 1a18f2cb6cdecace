# SPDX-License-Identifier: Apache-2.0
"""Every way in which a proof can end, judged."""

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._plan.checks import proof as proof_check

HEAD = {"listen": {"address": "198.51.100.1", "ports": [29500, 0]}, "read": [], "written": []}
OTHER = {"connect": {"address": "198.51.100.1", "source": "198.51.100.2"}, "read": [], "written": []}
CONNECTED = [{"port": 29500, "error": None}, {"port": 40001, "error": None}]
FINE = {"listen": None, "connect": CONNECTED, "read": [], "peers": {}}


def judge(head=FINE, other=FINE):
    return proof_check.judge({"n1": HEAD, "n2": OTHER}, {"n1": head, "n2": other})


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
    assert "port 29500 works" in found["message"]


@pytest.mark.parametrize(("error", "code"), [("EADDRINUSE", "PORT_IN_USE"), ("EACCES", "PORT_UNUSABLE")])
def test_the_first_node_cannot_listen(error, code):
    (found,) = judge(head={**FINE, "listen": error}, other={**FINE, "connect": []})

    assert (found["code"], found["host"]) == (code, "n1")


def test_peers_and_nodes_that_did_not_report():
    found = judge(head={"msg": "no answer"}, other={**FINE, "peers": {"n1": "127.0.1.1"}})

    assert [(entry["code"], entry["host"]) for entry in found] == [("PROOF_FAILED", "n1"), ("PEER_IS_LOOPBACK", "n2")]


def test_all_well():
    assert judge(other=tried(None, None)) == []


ROUTES = {"source": "198.51.100.2", "devices": ["ib0"]}


def routed(result, **other):
    wanted = {**OTHER, "routes": ROUTES}
    return proof_check.judge({"n1": HEAD, "n2": wanted}, {"n1": FINE, "n2": {**FINE, **other, "routes": result}})


def test_a_peer_that_is_reached_over_another_card():
    (found,) = routed({"eno1": ["198.51.100.3", "198.51.100.4"]})

    assert (found["code"], found["host"]) == ("ROUTE_ELSEWHERE", "n2")
    assert found["message"] == "198.51.100.3 and 1 more are reached over eno1, not ib0"
    assert "ip route get 198.51.100.3 from 198.51.100.2" in found["remedy"]


def test_a_peer_without_a_route():
    (found,) = routed({"": ["198.51.100.3"]})

    assert (found["code"], found["message"]) == ("CONNECT_NO_ROUTE", "no route from 198.51.100.2 to 198.51.100.3")


def test_what_has_one_cause_is_said_once():
    silent, unreached = (tried(error, error)["connect"] for error in ("ETIMEDOUT", "EHOSTUNREACH"))

    assert [entry["code"] for entry in routed({"eno1": ["198.51.100.1"]}, connect=silent)] == ["ROUTE_ELSEWHERE"]
    assert [entry["code"] for entry in routed({"": ["198.51.100.1"]}, connect=unreached)] == ["CONNECT_NO_ROUTE"]
    assert [entry["code"] for entry in routed({"eno1": ["198.51.100.3"]}, connect=silent)] == [
        "CONNECT_FILTERED",
        "ROUTE_ELSEWHERE",
    ]


def test_a_kernel_that_does_not_report_where_packets_go():
    (found,) = routed(None)

    assert (found["code"], found["host"]) == ("PROOF_FAILED", "n2")
    assert found["message"] == "the kernel did not report which card reaches its peers"
    assert "--skip proof" in found["remedy"]


FULL = {
    **OTHER,
    "routes": ROUTES,
    "peers": ["n1"],
    "read": [{"path": "/nfs", "names": {"n1": "f"}}],
    "written": [{"path": "/nfs", "file": "g", "nonce": "2"}],
}
ANSWER = {**FINE, "routes": {}, "read": [{"value": {"n1": "1"}}]}


def answered(answer, head=FINE):
    first = {**HEAD, "written": [{"path": "/nfs", "file": "f", "nonce": "1"}]}
    return proof_check.judge({"n1": first, "n2": FULL}, {"n1": head, "n2": answer})


def test_an_answer_with_all_that_was_wanted():
    assert answered(ANSWER) == []


@pytest.mark.parametrize("missing", ["connect", "read", "peers", "routes"])
def test_an_answer_without_something_that_was_wanted_is_not_a_proof(missing):
    (found,) = answered({name: value for name, value in ANSWER.items() if name != missing})

    assert (found["code"], found["host"]) == ("PROOF_FAILED", "n2")
    assert missing in found["message"]


@pytest.mark.parametrize(
    "short",
    [
        {"connect": []},
        {"connect": CONNECTED[:1]},
        {"connect": CONNECTED[:1] * 2},
        {"connect": [{"port": 1, "error": None}, {"port": 2, "error": None}]},
        {"read": []},
        {"read": ANSWER["read"] * 2},
    ],
)
def test_an_answer_of_another_length_is_not_a_proof(short):
    assert [(entry["code"], entry["host"]) for entry in answered({**ANSWER, **short})] == [("PROOF_FAILED", "n2")]


def test_an_empty_answer_proves_nothing():
    assert {(entry["code"], entry["host"]) for entry in answered({}, head={})} == {
        ("PROOF_FAILED", "n1"),
        ("PROOF_FAILED", "n2"),
    }


@pytest.mark.parametrize(("head", "code"), [({"listen": "EADDRINUSE"}, "PORT_IN_USE"), ({"msg": "x"}, "PROOF_FAILED")])
def test_where_the_first_node_does_not_listen_no_other_is_to_connect(head, code):
    found = answered({**ANSWER, "connect": []}, head={**FINE, **head})

    assert [(entry["code"], entry["host"]) for entry in found] == [(code, "n1")]


def test_what_was_not_wanted_need_not_be_there():
    only = {"read": FULL["read"], "written": FULL["written"]}
    first = {"read": [], "written": [{"path": "/nfs", "file": "f", "nonce": "1"}]}

    assert proof_check.judge({"n1": first, "n2": only}, {"n1": {}, "n2": {"read": ANSWER["read"]}}) == []

# SPDX-License-Identifier: Apache-2.0
"""Problems as lines, the same at both doors."""

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes
from ansible_collections.madctl.multinode.plugins.module_utils._show import problem_lines
from madctl.errors import Problem


def busy(host):
    return codes.problem("NODE_BUSY", host, "run X is here", "wait")


def test_hosts_with_the_same_problem_share_a_line():
    found = [busy("n1"), codes.problem("PORT_IN_USE", "n1", "port 1 is in use", "choose another"), busy("n2")]

    assert problem_lines.lines(found) == [
        "n[1-2]: run X is here; wait [NODE_BUSY]",
        "n1: port 1 is in use; choose another [PORT_IN_USE]",
    ]


def test_a_problem_has_one_line_whatever_holds_it():
    bare = {"code": "NO_GPU", "host": None, "message": "none", "remedy": None}

    assert problem_lines.lines([bare]) == [str(Problem("NO_GPU", "none"))] == ["none [NO_GPU]"]
    assert str(Problem("X", "a\nmadctl: forged", "n1")) == "n1: a\\nmadctl: forged [X]"


def test_a_remedy_that_names_its_own_host_is_shared_too():
    found = [
        codes.problem("HOST_UNREACHABLE", host, "no route", "check that it is up: ssh " + host)
        for host in ("n1", "n12")
    ]

    assert problem_lines.lines(found) == ["n[1,12]: no route; check that it is up: ssh HOST [HOST_UNREACHABLE]"]
    assert problem_lines.lines(found[:1]) == ["n1: no route; check that it is up: ssh n1 [HOST_UNREACHABLE]"]


def test_other_causes_have_lines_of_their_own():
    found = [codes.problem("PYTHON_MISSING", host, f"no Python at /{host}x") for host in ("n1", "n2")]

    assert len(problem_lines.lines(found)) == 2


def closed(number):
    message = f"10.0.1.{number} port 22: connection refused"
    return codes.problem("HOST_UNREACHABLE", f"n{number}", message, f"check that it is up: ssh n{number}")


def test_many_causes_that_differ_in_numbers_alone_share_a_line():
    told = problem_lines.lines([closed(number) for number in (1, 2, 3)])

    remedy = "check that it is up: ssh HOST"
    assert told == [f"n[1-3]: 10.0.1.[1-3] port 22: connection refused; {remedy} [HOST_UNREACHABLE]"]
    assert len(problem_lines.lines([closed(1), closed(2)])) == 2


def test_many_numbers_are_cut():
    found = [codes.problem("PORT_IN_USE", f"n{pid}", f"in use by pid {pid * pid * 7}", "wait") for pid in range(1, 40)]

    assert problem_lines.lines(found) == ["n[1-39]: in use by pid 7 … 10647; wait [PORT_IN_USE]"]


def test_many_causes_of_one_host_name_it():
    found = [codes.problem("PORT_UNUSABLE", "n1", f"port {port} of n1", "ssh n1") for port in (1, 2, 3)]

    assert problem_lines.lines(found) == ["n1: port [1-3] of n1; ssh n1 [PORT_UNUSABLE]"]

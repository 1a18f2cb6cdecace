# SPDX-License-Identifier: Apache-2.0
"""Problems as playbooks print them."""

from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import problem
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import playbook_screen


def busy(host):
    return problem("NODE_BUSY", host, "already used by run X", "--skip machine")


def test_hosts_with_the_same_problem_share_a_line_in_the_words_of_playbooks():
    found = [busy("n1"), problem("PORT_IN_USE", "n1", "port 1 is in use", "choose another --master-port"), busy("n2")]

    assert playbook_screen.lines(found) == [
        "NODE_BUSY: n[1-2]: already used by run X; madctl_skip: [machine]",
        "PORT_IN_USE: n1: port 1 is in use; choose another madctl_master_port",
    ]
    assert playbook_screen.summary(found) == "NODE_BUSY: n[1-2], PORT_IN_USE: n1; causes are above"


def test_a_remedy_that_names_its_own_host_is_shared_too():
    found = [
        problem("HOST_UNREACHABLE", host, "no route", "check that it is up: ssh " + host) for host in ("n1", "n12")
    ]

    assert playbook_screen.lines(found) == ["HOST_UNREACHABLE: n[1,12]: no route; check that it is up: ssh HOST"]
    assert playbook_screen.lines(found[:1]) == ["HOST_UNREACHABLE: n1: no route; check that it is up: ssh n1"]


def test_other_causes_have_lines_of_their_own():
    found = [problem("PYTHON_MISSING", "n1", "no Python at /a"), problem("PYTHON_MISSING", "n2", "no Python at /b")]

    assert len(playbook_screen.lines(found)) == 2
    assert playbook_screen.summary([problem("USAGE", None, "x")]) == "USAGE; causes are above"

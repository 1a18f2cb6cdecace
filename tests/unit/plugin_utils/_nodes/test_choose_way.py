# SPDX-License-Identifier: GPL-3.0-or-later
"""The way to a node is the one by which Ansible would reach it."""

import pytest
from ansible.errors import AnsibleActionFail

from ansible_collections.madctl.multinode.plugins.module_utils._ways.local import Local
from ansible_collections.madctl.multinode.plugins.module_utils._ways.ssh import Ssh
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes import choose_way
from tests.unit.plugin_utils._nodes.tasks import task_of


@pytest.mark.parametrize(
    ("connection", "variables", "expected"),
    [
        ("ssh", {}, Ssh),
        ("smart", {}, Ssh),
        ("local", {}, Local),
        ("ssh", {"ansible_connection": "local"}, Local),
        ("ssh", {"ansible_connection": "ansible.builtin.local"}, Local),
        ("local", {"ansible_connection": "ssh"}, Ssh),
    ],
)
def test_the_way_is_the_one_of_ansible(connection, variables, expected):
    assert choose_way.kind(task_of(connection), variables) is expected
    assert (
        type(choose_way.to(["n1"], task_of(connection), {"n1": {"inventory_hostname": "n1", **variables}})["n1"])
        is expected
    )


def test_a_node_has_the_python_and_the_environment_that_ansible_would_give_it():
    variables = {"n1": {"ansible_python_interpreter": "/opt/python3"}, "n2": {}, "n3": {}}
    variables["n2"] = {"ansible_python_interpreter": "auto_silent"}
    variables["n3"] = {"ansible_facts": {"discovered_interpreter_python": "/usr/bin/python3.9"}}
    ways = choose_way.to(variables, task_of("local", "A=1"), variables)

    assert [way.python for way in ways.values()] == ["/opt/python3", "/usr/bin/python3", "/usr/bin/python3.9"]
    assert {way.environment for way in ways.values()} == {"A=1"}


@pytest.mark.parametrize("connection", ["local", "ssh"])
def test_nobody_is_reached_by_a_name_that_no_host_has(connection):
    with pytest.raises(AnsibleActionFail, match="HOST"):
        choose_way.to(["-oProxyCommand=x"], task_of(connection), {"-oProxyCommand=x": {}})


class Connection:
    """What Ansible's connections have that ours asks them for."""

    def __init__(self, transport):
        self.transport, self.options = transport, {"ssh_executable": "ssh", "ssh_extra_args": "-v"}

    def get_option(self, name):
        return self.options.get(name)

    def set_option(self, name, value):
        self.options[name] = value


def test_other_tasks_get_the_arguments_that_ours_have():
    connection = Connection("ssh")
    found = choose_way.arguments(connection, {"madctl_ssh_args": "-F 'my config'"})

    assert found == {"ssh_extra_args": connection.options["ssh_extra_args"]}
    assert found["ssh_extra_args"].startswith("-v -o ")
    assert "BatchMode=yes" in found["ssh_extra_args"]
    assert found["ssh_extra_args"].endswith(" -F 'my config'")


@pytest.mark.parametrize(("transport", "is_ours"), [("ssh", True), ("local", True), ("paramiko_ssh", False)])
def test_another_connection_of_ansible_s_is_left_as_it_is(transport, is_ours):
    connection = Connection(transport)

    assert choose_way.carries_bytes(connection) is is_ours
    if transport != "ssh":
        assert choose_way.arguments(connection, {}) == {}
        assert connection.options == Connection(transport).options


def test_a_task_without_an_environment_has_none():
    assert choose_way.to(["n1"], task_of("local"), {"n1": {}})["n1"].environment == ""

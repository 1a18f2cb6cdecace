# SPDX-License-Identifier: GPL-3.0-or-later
"""What the inventory says of one host wins over what is said of all, also where that is an extra variable."""

import pytest
from ansible.errors import AnsibleActionFail
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager

from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes import own_settings

INVENTORY = """\
all:
  hosts:
    a:
    b:
      madctl_python: "{{ venv }}/bin/python3"
      madctl_env: {A: b, N: 1}
    c:
      madctl_interface: 10.0.0.7/24
      madctl_python: ""
  children:
    amd:
      hosts: {c: }
      vars: {madctl_env: {HIP: "1"}}
  vars:
    venv: /opt/venv
"""
GENERAL = {"python": "/usr/bin/python3", "python_required": False, "interface": None, "env": {}}


@pytest.fixture
def added(tmp_path):
    def add(text=INVENTORY, hosts=("a", "b", "c"), first="a", extra=None, **arguments):
        (tmp_path / "hosts.yml").write_text(text)
        loader = DataLoader()
        inventory = InventoryManager(loader, sources=[str(tmp_path / "hosts.yml")])
        variables = VariableManager(loader, inventory)
        variables._extra_vars = extra or {}
        task_vars = {"hostvars": HostVars(inventory, variables, loader), "inventory_hostname": first}
        return own_settings.added({**GENERAL, **arguments}, task_vars, list(hosts))

    return add


OWN = {
    "b": {"python": "/opt/venv/bin/python3", "env": {"A": "b", "N": "1"}},
    "c": {"interface": "10.0.0.0/24", "env": {"HIP": "1"}},
}


@pytest.mark.parametrize("extra", [None, {"madctl_python": "/usr/bin/python3", "madctl_env": {"A": "x"}}])
def test_a_host_has_what_its_inventory_says_whatever_is_said_of_all(added, extra):
    assert added(extra=extra) == {**GENERAL, "own": OWN}


def test_what_all_hosts_have_is_general_and_hosts_that_repeat_it_too(added):
    text = "all:\n  hosts:\n    a:\n    b: {madctl_python: /opt/p}\n  vars: {madctl_python: /opt/p}\n"

    assert added(text, hosts="ab", python="/opt/p") == {**GENERAL, "python": "/opt/p"}


def test_variables_in_files_beside_the_inventory_count(added, tmp_path):
    (tmp_path / "host_vars").mkdir()
    (tmp_path / "host_vars" / "a.yml").write_text("madctl_python: /opt/a\n")

    assert added(first="b", python=OWN["b"]["python"])["own"]["a"] == {"python": "/opt/a"}


def test_the_value_of_the_first_host_is_not_that_of_the_others(added):
    # The argument of a task that runs once is rendered for one host.
    found = added(first="b", python="/opt/venv/bin/python3", python_required=True, env={"A": "b", "N": "1"})

    assert found == {**GENERAL, "python": None, "python_required": False, "env": {}, "own": OWN}


@pytest.mark.parametrize("of_all", ["vars: {madctl_python: /opt/p}", ""])
def test_the_general_value_comes_from_all_or_from_extra_variables(added, of_all):
    text = f"all:\n  hosts:\n    a: {{madctl_python: /opt/a}}\n    b:\n  {of_all}\n"
    extra = {} if of_all else {"madctl_python": "/opt/p"}
    # As Ansible renders it: extra variables win.
    rendered = "/opt/a" if of_all else "/opt/p"
    found = added(text, hosts="ab", extra=extra, python=rendered, python_required=True)

    assert (found["python"], found["python_required"], found["own"]) == ("/opt/p", True, {"a": {"python": "/opt/a"}})


def test_a_wrong_value_is_named_with_its_host_and_no_secret(added):
    text = "all:\n  hosts:\n    a: {madctl_env: {1A: s3cret}}\n    b: {madctl_interface: 10.0.0.0/99}\n"
    with pytest.raises(AnsibleActionFail) as caught:
        added(text, hosts="ab")

    said = str(caught.value)
    assert "a: madctl_env takes a mapping of valid variable names to values, not '1A'; fix the inventory" in said
    assert "b: madctl_interface takes a name or a network such as 10.0.0.0/24, not '10.0.0.0/99'" in said
    assert "s3cret" not in said


def test_values_of_hosts_are_secrets_like_those_of_all():
    arguments = {"own": {"a": {"env": {"HF_TOKEN": "abcd", "N": "1"}}, "b": {"python": "/p"}}}

    assert own_settings.secrets(arguments) == ("abcd",)
    assert own_settings.environments(arguments) == {"a": {"HF_TOKEN": "abcd", "N": "1"}}

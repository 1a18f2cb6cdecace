# SPDX-License-Identifier: GPL-3.0-or-later
"""
Read the inventory's settings of individual hosts: ``madctl_python``, ``madctl_interface`` and ``madctl_env``.

A general value comes to an action as its argument, rendered for one host, and extra variables hide those of all hosts.
So the inventory itself is read. Values that a host shares with the group ``all`` are general, too. The more specific
value wins, also over extra variables, in which madctl passes its options.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.inventory.host import Host
from ansible.template import Templar
from ansible.vars.manager import VariableManager

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, raw_words
from ansible_collections.madctl.multinode.plugins.module_utils._request import kinds
from ansible_collections.madctl.multinode.plugins.module_utils._request.variables import OWN_OF_HOSTS
from ansible_collections.madctl.multinode.plugins.module_utils._show import masking
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes.variables import plain
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import playbook_screen

_NOBODY = "madctl-nobody"
_ALL = "all"


def added(arguments: dict[str, Any], task_vars: Any, hosts: Sequence[str]) -> dict[str, Any]:
    """
    Add hosts' own settings to the arguments of a launch, and keep them out of the general values.

    Args:
        arguments: As ``request_of.read`` returns them.

    Raises:
        AnsibleActionFail: If a value is invalid; one line each.
    """
    own, of_all = _read(task_vars["hostvars"], hosts)
    if not own:
        return arguments
    found, problems = _parsed(own)
    general, more_problems = _parsed({_ALL: of_all})
    playbook_screen.refuse(problems + more_problems)
    more: dict[str, Any] = {"own": found}
    # The arguments were rendered for this host.
    rendered = found.get(task_vars["inventory_hostname"], {})
    for row in OWN_OF_HOSTS:
        if row.name in rendered and arguments[row.name] == rendered[row.name]:
            more[row.name] = general.get(_ALL, {}).get(row.name, row.default)
    if "python" in more:
        more["python_required"] = more["python"] is not None
    return {**arguments, **more}


def environments(arguments: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the variables of the job that individual hosts set for themselves, by host."""
    return {host: own["env"] for host, own in (arguments.get("own") or {}).items() if "env" in own}


def secrets(arguments: Mapping[str, Any]) -> tuple[str, ...]:
    """Return those that must not be shown."""
    given = [(name, raw_words.unpack(word)) for env in environments(arguments).values() for name, word in env.items()]
    return masking.values(given)


def _parsed(own: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, dict[str, Any]], list[codes.Problem]]:
    found: dict[str, dict[str, Any]] = {}
    problems = []
    for host, given in own.items():
        for row in OWN_OF_HOSTS:
            try:
                if row.name in given:
                    found.setdefault(host, {})[row.name] = row.parse(given[row.name])
            except kinds.UnfitError as error:
                # A value of a variable may be a secret.
                message = row.kind.refusal(row.variable, error.value)
                problems.append(codes.problem("USAGE", host, message, "fix the inventory"))
    return found, problems


def _read(hostvars: Any, hosts: Sequence[str]) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Return the own values of each host that has some, and the general ones that they override."""
    manager = getattr(hostvars, "_variable_manager", None)
    if manager is None:
        return {}, {}
    inventory, loader = hostvars._inventory, hostvars._loader
    bare = VariableManager.__new__(VariableManager)
    bare.__dict__.update({**manager.__dict__, "_extra_vars": {}})

    def values(host: Any) -> dict[str, Any]:
        variables = bare.get_vars(host=host, include_hostvars=False)
        names = [row for row in OWN_OF_HOSTS if row.variable in variables]
        if not names:
            return {}
        templar = Templar(loader=loader, variables=variables)
        found = {row.name: plain(templar.template(variables[row.variable])) for row in names}
        return {name: value for name, value in found.items() if value not in (None, "")}

    nobody = Host(_NOBODY)
    nobody.add_group(inventory.groups[_ALL])
    general, own = values(nobody), {}
    for name in hosts:
        found = {key: value for key, value in values(inventory.get_host(name)).items() if general.get(key) != value}
        own.update({name: found} if found else {})
    return own, {**general, **_extra(manager)}


def _extra(manager: Any) -> dict[str, Any]:
    """Return general values that are extra variables."""
    extra = manager._extra_vars or {}
    return {row.name: plain(extra[row.variable]) for row in OWN_OF_HOSTS if row.variable in extra}

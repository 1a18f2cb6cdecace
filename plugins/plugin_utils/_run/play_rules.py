# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the play of an action that judges all nodes together: all hosts at once, and no misspelled variable."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ansible import context
from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes
from ansible_collections.madctl.multinode.plugins.module_utils._request import kinds, playbook_variables
from ansible_collections.madctl.multinode.plugins.module_utils._request.variables import BY_NAME, PREFIX
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import playbook_screen

_NEEDS_ALL = "this role needs all hosts of the play at once"
NOT_MEANT = {"changed": False, "skipped": True, "skip_reason": "its tag was not asked for"}
_PLAYBOOKS = {"slurm": "launch, status, logs and stop", "k8s": "launch, check, status, logs, stop and gc"}
_TOGETHER = ("linear", "debug")  # by the end of a strategy's name


def require(task: Any, task_vars: Any) -> dict[str, Any]:
    """
    Return the variables of every host of the play, by host.

    Raises:
        AnsibleActionFail: If the play splits its hosts, or one of our variables does not exist; one line each.
    """
    variables = {host: task_vars["hostvars"][host] for host in task_vars["ansible_play_hosts_all"]}
    names = {name for own in (task_vars, *variables.values()) for name in own if name.startswith(PREFIX)}
    found = parted(task.play) + playbook_variables.unknown(names) + _unmeant(task, task_vars)
    playbook_screen.refuse(found)
    return variables


def _unmeant(task: Any, task_vars: Any) -> list[codes.Problem]:
    """Refuse an action on the hosts of the play if a login node is meant, which is not a node of a job."""
    on = BY_NAME["on"]
    chosen = str(task_vars.get(on.variable) or on.default)
    is_other = chosen != on.default and chosen in on.kind.choices
    sync = BY_NAME["sync"]
    if is_other and task_vars.get(sync.variable):
        message = "%s needs %s=%s" % (sync.variable, on.variable, on.default)
        return [codes.problem("USAGE", None, message, "put the code where every node has it")]
    if not is_other or task.action.rpartition(".")[2].startswith(chosen):
        return []
    message = "%s=%s is only for the playbooks %s" % (on.variable, chosen, _PLAYBOOKS[chosen])
    return [codes.problem("USAGE", None, message, "leave it out here")]


def require_tags(task_vars: Any, known: Sequence[str]) -> None:
    """
    Refuse tags of the command line that no task has: Ansible would do nothing, and report success.

    If another playbook imports ours, or runs beside it, tags may belong to the other one.

    Raises:
        AnsibleActionFail: With one line per tag.
    """
    typed = [*task_vars.get("ansible_run_tags", ()), *task_vars.get("ansible_skip_tags", ())]
    found = playbook_variables.unknown_tags(typed, known)
    playbooks = context.CLIARGS.get("args", ())
    if found and len(playbooks) == 1 and _is_ours(playbooks[0]):
        raise playbook_screen.refusal(found)


def is_meant(task: Any, task_vars: Any) -> bool:
    """
    Return whether the tags of the command line mean a task of a playbook that always runs, to refuse unknown tags.

    Raises:
        AnsibleActionFail: With one line per tag that no task has.
    """
    own = set(task.tags) - {"always"}
    if "always" not in task.tags or not own:
        return True
    require_tags(task_vars, sorted(own))
    return bool({"all", "tagged", *own} & set(task_vars.get("ansible_run_tags", ())))


class Stages(NamedTuple):
    """How far a task goes: whether it may change anything, whether net-tools follow, and whether the job starts."""

    is_dry: bool
    installs: bool
    starts: bool


def stages(task: Any, task_vars: Any, arguments: dict[str, Any]) -> Stages:
    """
    Return how far a task goes, from its arguments and the tags of the command line.

    ``known_tags`` are the tags of the playbook; if it has none, tags are not checked. ``net_tools_follow``
    is whether its next play installs net-tools.

    Raises:
        AnsibleActionFail: For tags that no task has, with one line each.
    """
    known = kinds.commas(arguments.get("known_tags") or [])
    follow = boolean(arguments.get("net_tools_follow", False))
    is_dry = task.check_mode or arguments["dry_run"]
    if not known:
        return Stages(is_dry, follow and not is_dry, True)
    require_tags(task_vars, known)
    asked, skipped = set(task_vars.get("ansible_run_tags", ())), set(task_vars.get("ansible_skip_tags", ()))
    # Installing and starting have these tags; the probe always runs.
    changing = set(known) & {"net_tools", "launch"}
    installs = bool(asked & {"all", *changing}) and not skipped & changing
    starts = bool(asked & {"all", "launch"}) and "launch" not in skipped
    return Stages(is_dry, follow and installs and not is_dry, starts)


def _is_ours(playbook: str) -> bool:
    directory = os.path.realpath(os.path.join(os.path.dirname(__file__), "../../../playbooks"))
    return playbook.startswith("madctl.multinode.") or os.path.dirname(os.path.realpath(playbook)) == directory


def parted(play: Any) -> list[codes.Problem]:
    """Return the problems of a play that splits its hosts."""
    if play.serial:
        return [codes.problem("PLAY_PARTED", None, _NEEDS_ALL, "remove serial from the play")]
    if not str(play.strategy).endswith(_TOGETHER):
        return [codes.problem("PLAY_PARTED", None, _NEEDS_ALL, "set strategy: linear in the play")]
    return []


def warn(task: Any, task_vars: Any) -> None:
    """
    Warn about a strategy that splits the hosts, which our roles cannot use; Ansible's own error does not mention that.

    This is only for roles that judge all nodes: inspecting one node works with any strategy.
    """
    is_first = task_vars["inventory_hostname"] == task_vars["ansible_play_hosts_all"][0]
    if is_first and set(_wanting(task._role)) - {"net_tools"}:
        playbook_screen.problems([entry for entry in parted(task.play) if not task.play.serial])


def _wanting(role: Any) -> Iterator[str]:
    """Yield the roles that depend on a role, and those that depend on them."""
    for parent in getattr(role, "_parents", ()):
        yield parent.get_name().rpartition(".")[2]
        yield from _wanting(parent)

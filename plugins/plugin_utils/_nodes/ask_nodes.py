# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask the nodes of a play, whatever runs they have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes import fan_out, remote_program, way

Answers = dict[str, dict[str, Any]]


def ways(action: Any, task_vars: Any) -> dict[str, way.Reach]:
    """Give the way to every host of the play, also to those that failed before."""
    hosts = task_vars["ansible_play_hosts_all"]
    return {host: way.Reach(host, action, task_vars["hostvars"][host]) for host in hosts}


def ask(
    reach: dict[str, way.Reach],
    modules: tuple[remote_program.Part, ...],
    function: str,
    request: Callable[[str], dict[str, Any]],
    seconds: float,
) -> Answers:
    """Call a function of the last module on many nodes, each with its own request; give the answers by host."""
    answers: Answers = {}

    def program(host: str, _: Any) -> remote_program.Program:
        return remote_program.Program(function, modules, request(host))

    round_of_all = fan_out.Round(reach, None, program, lambda host, answer: answers.update({host: answer}))
    round_of_all.start()
    round_of_all.close(seconds)
    return answers

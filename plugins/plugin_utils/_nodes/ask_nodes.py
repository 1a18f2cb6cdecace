# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask the nodes of a play, whatever runs they have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.madctl.multinode.plugins.plugin_utils import _direct, _reach, _round

Answers = dict[str, dict[str, Any]]


def ways(action: Any, task_vars: Any) -> dict[str, _reach.Reach]:
    """Give the way to every host of the play, also to those that failed before."""
    hosts = task_vars["ansible_play_hosts_all"]
    return {host: _reach.Reach(host, action, task_vars["hostvars"][host]) for host in hosts}


def ask(
    reach: dict[str, _reach.Reach],
    modules: tuple[_direct.Part, ...],
    function: str,
    request: Callable[[str], dict[str, Any]],
    seconds: float,
) -> Answers:
    """Call a function of the last module on many nodes, each with its own request; give the answers by host."""
    answers: Answers = {}

    def program(host: str, _: Any) -> _direct.Program:
        return _direct.Program(function, modules, request(host))

    round_of_all = _round.Round(reach, None, program, lambda host, answer: answers.update({host: answer}))
    round_of_all.start()
    round_of_all.close(seconds)
    return answers

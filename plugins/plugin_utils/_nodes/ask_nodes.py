# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask many nodes one thing, each in its own words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes import fan_out, remote_program
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes.way import Ways

Answers = dict[str, dict[str, Any]]


def ask(
    ways: Ways,
    modules: tuple[remote_program.Part, ...],
    function: str,
    request: Callable[[str], dict[str, Any]],
    seconds: float,
) -> Answers:
    """Call a function of the last module on many nodes, each with its own request; give the answers by host."""
    answers: Answers = {}

    def program(host: str, _: Any) -> remote_program.Program:
        return remote_program.Program(function, modules, request(host))

    round_of_all = fan_out.Round(ways, None, program, lambda host, answer: answers.update({host: answer}))
    round_of_all.start()
    round_of_all.close(seconds)
    return answers

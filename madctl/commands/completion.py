# SPDX-License-Identifier: Apache-2.0
"""``madctl completion``: print the script with which a shell completes madctl's commands and options."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from madctl.errors import ExitCode
from madctl.request.options import add_command
from madctl.request.parser import Parser

_RUNS = {
    "bash": """\
_madctl_runs() {
  local runs=("${XDG_STATE_HOME:-$HOME/.local/state}"/madctl/runs/*.json)
  runs=("${runs[@]##*/}")
  compgen -W "${runs[*]%.json}" -- "$1"
}""",
    "zsh": """\
_madctl_runs() {
  local -a runs=("${XDG_STATE_HOME:-$HOME/.local/state}"/madctl/runs/*.json(N:t:r))
  compadd -a runs
}""",
    "fish": """\
function _madctl_runs
  set -l state $HOME/.local/state
  set -q XDG_STATE_HOME; and set state $XDG_STATE_HOME
  for file in $state/madctl/runs/*.json
    string replace -r '.*/(.*)[.]json$' '$1' -- $file
  end
end""",
}
_EXAMPLES = (
    ("complete in bash, in this shell or from ~/.bashrc", "source <(madctl completion bash)"),
    ("complete in zsh, in this shell or from ~/.zshrc", 'eval "$(madctl completion zsh)"'),
    ("complete in fish, from now on", "madctl completion fish > ~/.config/fish/completions/madctl.fish"),
)


def register(commands: Any) -> None:
    """Add the command to the parser."""
    about = "Print the script that makes a shell complete the commands and options of madctl."
    parser = add_command(commands, "completion", run, "print the completion script of a shell", about, _EXAMPLES)
    parser.add_argument("shell", choices=list(_RUNS), help="shell to complete for")


def run(options: argparse.Namespace) -> int:
    """Print the script."""
    import shtab

    from ansible_collections.madctl.multinode.plugins.module_utils._common import catalog
    from madctl.screen import terminal

    values = {"DIRECTORY": shtab.DIRECTORY, "RUN": {**dict.fromkeys(_RUNS, "_madctl_runs"), "fish": "(_madctl_runs)"}}
    values |= dict.fromkeys(("FILE", "PATH", "PATH[:ro]"), shtab.FILE)
    for name in ("launch", "check"):
        # The work is split off before the parser sees it; the shell completes it as a file.
        options.parser.commands[name].add_argument("work", nargs="*", metavar="FILE", help="the work")
    for action in _actions(options.parser):
        if action.metavar in values:
            action.complete = values[action.metavar]  # type: ignore[attr-defined]
        elif action.metavar == "CHECK":
            action.choices = [name for name in catalog.NAMES if name in catalog.SKIPPABLE]
    script = shtab.complete(options.parser, options.shell, preamble=_RUNS)  # type: ignore[arg-type]
    terminal.say(*script.split("\n"))
    return ExitCode.SUCCEEDED


def _actions(parser: Parser) -> Iterator[argparse.Action]:
    yield from parser._actions
    for child in parser.commands.values():
        yield from _actions(child)

# SPDX-License-Identifier: Apache-2.0
"""The manual page, madctl(1), from the parser and the page of exit codes."""

import re
from pathlib import Path

from docs.generators import command_line

ENVIRONMENT = (
    ("COLUMNS", "How wide help and tables are, instead of the width of the terminal."),
    ("MADCTL_DEBUG", "Show where an unexpected error came from, if it is set."),
    ("MADCTL_PROFILE", "The profile of settings that is used without --profile."),
    ("MADCTL_TIMING", "Show what a launch or a check cost, by stage, if it is 1."),
    ("MADCTL_...", "The value of an option that is not typed: MADCTL_HOSTS is that of --hosts."),
    ("NO_COLOR", "Use no colours, if it is set."),
    ("XDG_CONFIG_HOME", "Where your own settings are, in madctl/madctl.toml (default ~/.config)."),
    ("XDG_STATE_HOME", "Where runs are remembered, in madctl/runs (default ~/.local/state)."),
)
EXIT_CODES = Path(__file__).parents[1] / "reference" / "exit_codes.md"


def manual() -> str:
    """Return the page in man(7) format."""
    program = command_line.program()
    lines = [
        '.\\" Generated from the parser by make docs.',
        ".TH MADCTL 1",
        ".SH NAME",
        f"madctl \\- {_text(program.description[0].lower() + program.description[1:].rstrip('.'))}",
        ".SH SYNOPSIS",
        ".nf",
        ".B madctl launch \\fR[\\fIOPTION\\fR...] [\\-\\-] \\fISCRIPT.py\\fR [\\fIARG\\fR...]",
        ".B madctl \\fICOMMAND\\fR [\\fIOPTION\\fR...]",
        ".fi",
        ".SH DESCRIPTION",
        "madctl checks every node, assigns ranks, starts the work on all nodes at once or on none,",
        "and shows their progress.",
        "The work begins with the first word that is not an option, or after \\fB\\-\\-\\fR:",
        "it reaches the nodes word for word.",
        ".SH COMMANDS",
    ]
    for command, groups in command_line.with_repeated(command_line.commands()):
        lines += [f".SS {_text(command.name)}", _text(command.description).strip(), ".PP", f"{_text(command.usage)}"]
        for group, name in groups:
            same = f": as for {name}." if name else ""
            lines += [] if group.title == "options" else [".PP", f".I {_text(group.title)}{_text(same)}"]
            for option in () if name else group.options:
                lines += [".TP", f"\\fB{_text(option.spelling)}\\fR", _text(option.meaning) or "\\&"]
    lines += [".SH EXIT STATUS"]
    for code, meaning in re.findall(r"^\| ([\d, ]+) \| (.*?) \|", EXIT_CODES.read_text(encoding="utf-8"), re.M):
        lines += [".TP", f".B {code}", _text(meaning)]
    lines += [".SH ENVIRONMENT"]
    for name, meaning in ENVIRONMENT:
        lines += [".TP", f".B {name}", _text(meaning)]
    lines += [".SH EXAMPLES"]
    for command in command_line.commands():
        for what, line in command.examples:
            lines += [f"{_text(what[0].upper() + what[1:])}:", ".PP", ".RS 4", ".EX", _text(line), ".EE", ".RE", ".PP"]
    lines.pop()
    lines += [".SH SEE ALSO", ".BR ssh (1),", ".BR ssh_config (5)"]
    return "\n".join(lines) + "\n"


def _text(text: str) -> str:
    """Escape characters that troff would interpret."""
    plain = text.replace("\\", "\\e").replace("-", "\\-").replace("…", "...").replace("`", "").replace("~", "\\(ti")
    return f"\\&{plain}" if plain.startswith((".", "'")) else plain

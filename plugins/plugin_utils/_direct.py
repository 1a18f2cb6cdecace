# SPDX-License-Identifier: GPL-3.0-or-later
"""
Programs that run on a node with one Python start and no file.

Ansible's own way to run a module unpacks an archive on the node, which costs some twenty times a bare
Python start. Here the sources go over the connection's standard input to ``python3 -I -S -``.
"""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

_PACKAGE = "ansible_collections.madctl.multinode.plugins.module_utils"
_DIRECTORY = Path(__file__).parents[1] / "module_utils"
# Runs on the node: make the modules, dependencies first, then call one function of the last.
_BOOT = """\
import json, sys
given = json.loads(GIVEN)
path = given["package"].split(".")
for end in range(1, len(path) + 1):
    package = sys.modules[".".join(path[:end])] = type(sys)(".".join(path[:end]))
    package.__path__ = []
for name, text in given["sources"]:
    module = sys.modules[given["package"] + "." + name] = type(sys)(given["package"] + "." + name)
    setattr(package, name, module)
    exec(compile(text, name + ".py", "exec"), module.__dict__)
result = json.dumps(getattr(module, given["function"])(given["arguments"]))
sys.stdout.write("\\n" + given["mark"] + result + "\\n")
"""


class Program:
    """One function of ``module_utils`` with its arguments, as text for a node's Python."""

    def __init__(self, function: str, modules: tuple[str, ...], arguments: Any) -> None:
        """
        Prepare a call of ``function`` of the last of ``modules``.

        Args:
            modules: Names in ``module_utils``; a module stands after those that it imports.
            arguments: What the function takes, JSON data.
        """
        self._mark = "madctl-%s " % secrets.token_hex(8)
        given = {
            "package": _PACKAGE,
            "sources": [(name, source(name)) for name in modules],
            "function": function,
            "arguments": plain(arguments),
            "mark": self._mark,
        }
        self.text = _BOOT.replace("GIVEN", ascii(json.dumps(given))).encode()

    def answer(self, code: int, out: str, err: str) -> dict[str, Any]:
        """Find the function's result in what came back; ``failed`` with ``rc`` and ``msg`` when there is none."""
        # A login script may have printed anything before.
        for line in reversed(out.splitlines()):
            if line.startswith(self._mark):
                return dict(json.loads(line[len(self._mark) :]))
        text = " ".join((err + " " + out).split())[-400:]
        return {"failed": True, "rc": code, "msg": text or "no answer, exit code %s" % code}


def source(name: str) -> str:
    """Read a module of ``module_utils``; nothing is executed."""
    return (_DIRECTORY / (name + ".py")).read_text(encoding="utf-8")


def command(variables: Any) -> str:
    """Write the command that reads a program; no Python is searched where nobody named one."""
    named = str(variables.get("ansible_python_interpreter") or "")
    if not named or named.startswith("auto"):
        named = str((variables.get("ansible_facts") or {}).get("discovered_interpreter_python") or "/usr/bin/python3")
    return named + " -I -S -"


def plain(value: Any) -> Any:
    """Turn Ansible's lazy and tagged values into JSON data."""
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    return str(value) if isinstance(value, str) else value

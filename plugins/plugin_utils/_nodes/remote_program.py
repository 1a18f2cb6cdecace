# SPDX-License-Identifier: GPL-3.0-or-later
"""
Programs that run on a node with one Python start and no file.

Ansible's own way to run a module unpacks an archive on the node, which costs some twenty times a bare
Python start. Here the sources go over the connection's standard input to ``python3 -I -S``.
"""

from __future__ import annotations

import base64
import functools
import json
import marshal
import re
import secrets
import subprocess
import zlib
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from importlib.util import MAGIC_NUMBER
from pathlib import Path
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common import node_answers, wire

_PACKAGE = "ansible_collections.madctl.multinode.plugins.module_utils"
_DIRECTORY = Path(__file__).parents[2] / "module_utils"
_IMPORT = re.compile(r"^ *from %s\.([\w.]+) import (\([^)]*\)|[^\n#]*)" % re.escape(_PACKAGE), re.MULTILINE)
_FOR_TYPES = re.compile(r"^if TYPE_CHECKING:\n(?: +[^\n]*\n|\n)+", re.MULTILINE)  # Of no use on a node.
# Runs on the node: make the modules, dependencies first, then call one function of the last. Standard
# input stays open for the function, so only so many bytes of it are the program.
_BOOT = """\
import binascii, json, marshal, os, sys, zlib
from _frozen_importlib_external import MAGIC_NUMBER
given = json.loads(GIVEN)
def made(name):
    if name not in sys.modules:
        parent, _, last = name.rpartition(".")
        sys.modules[name] = type(sys)(name)
        sys.modules[name].__path__ = []
        if parent:
            setattr(made(parent), last, sys.modules[name])
    return sys.modules[name]
for name, text, magic, code in given["parts"]:
    module = made(given["package"] + "." + name)
    same = binascii.a2b_base64(magic) == MAGIC_NUMBER
    packed = zlib.decompress(binascii.a2b_base64(code if same else text))
    exec(marshal.loads(packed) if same else compile(packed, name + ".py", "exec"), module.__dict__)
def tell(mark, data):
    os.write(1, ("\\n" + given[mark] + json.dumps(data) + "\\n").encode())
more = [lambda news: tell("news_mark", news)] if given["speaks"] else []
tell("mark", getattr(module, given["function"])(given["arguments"], *more))
"""

# Name, packed source, and for a node whose Python is of our version, compiled: that saves half of its work.
Part = tuple[str, str, str, str]


def parts(module: str) -> tuple[Part, ...]:
    """Read and compile a module of ``module_utils``, such as ``_arm.prove``, and what it needs, dependencies first."""
    return tuple(_part(name) for name in closure(module))


@functools.lru_cache(maxsize=None)
def _part(name: str) -> Part:
    # From Python's own cache of compiled files: Ansible's import system has none, and would compile all in each worker.
    code = SourceFileLoader("%s.%s" % (_PACKAGE, name), str(_path(name))).get_code("%s.%s" % (_PACKAGE, name))
    magic = base64.b64encode(MAGIC_NUMBER).decode()
    return (name, _pack(source(name).encode()), magic, _pack(marshal.dumps(code)))


def closure(*modules: str) -> list[str]:
    """Name modules of ``module_utils`` and all that they import from there, wherever they do, dependencies first."""
    found: list[str] = []

    def add(name: str) -> None:
        for other in _imported(source(name)):
            if other not in found:
                add(other)
        if name not in found:
            found.append(name)

    for module in modules:
        add(module)
    return found


def _imported(text: str) -> Iterator[str]:
    """Read the imports of a module from its text, which costs a hundredth of parsing it."""
    for room, names in _IMPORT.findall(_FOR_TYPES.sub("", text)):
        # What is imported from a module is in it; what is imported from a room is a module.
        yield from [room] if "." in room else ["%s.%s" % (room, name) for name in re.findall(r"\w+", names)]


def _pack(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data)).decode()


class Program:
    """One function of ``module_utils`` with its arguments, as text for a node's Python."""

    def __init__(self, function: str, modules: tuple[Part, ...], arguments: Any, speaks: bool = False) -> None:
        """
        Prepare a call of ``function`` of the last of ``modules``.

        Args:
            modules: What ``parts`` gave.
            arguments: What the function takes, JSON data.
            speaks: Whether the function takes a second argument, which tells news while it runs.
        """
        self.function = function
        self._mark, self._news_mark = ("madctl-%s " % secrets.token_hex(8) for _ in range(2))
        given = {
            "package": _PACKAGE,
            "parts": modules,
            "function": function,
            "arguments": plain(arguments),
            "mark": self._mark,
            "news_mark": self._news_mark,
            "speaks": speaks,
        }
        self.text = _BOOT.replace("GIVEN", ascii(json.dumps(given))).encode()

    def command(self, python: str) -> str:
        """Write the command that reads this program from the beginning of its standard input."""
        return "%s -I -S -c 'import sys; exec(sys.stdin.buffer.read(%d))'" % (python, len(self.text))

    def news(self, line: bytes) -> dict[str, Any] | None:
        """
        Read a line of output: what the function told while it ran, or None when it is something else.

        Raises:
            ValueError: If what it told is none that our programs tell.
        """
        mark = self._news_mark.encode()
        if not line.startswith(mark):
            return None
        found = wire.parse(line[len(mark) :])
        if not node_answers.NEWS(found):
            raise wire.WireError("these are no news: %r" % line[len(mark) :][:80])
        return found

    def answer(self, code: int, out: str, err: str) -> dict[str, Any]:
        """
        Find the function's result in what came back.

        It has the function's shape, or is ``failed`` with ``msg``; with ``rc`` as well where the program did not even
        start.
        """
        # A login script may have printed anything before.
        for line in reversed(out.splitlines()):
            if line.startswith(self._mark):
                try:
                    return node_answers.checked(self.function, wire.parse(line[len(self._mark) :]))
                except ValueError as error:
                    return {"failed": True, "msg": "its answer cannot be read: %s" % error}
        text = " ".join((err + " " + out).split())[-400:]
        return {"failed": True, "rc": code, "msg": text or "no answer, exit code %s" % code}


def give(process: subprocess.Popen[bytes], program: Program, is_all: bool = True) -> None:
    """Send a program; a process that does not take it says why in what it prints."""
    assert process.stdin is not None
    try:
        process.stdin.write(program.text)
        process.stdin.flush()
    except OSError:
        pass
    if is_all:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Tell a process that nothing more comes."""
    assert process.stdin is not None
    try:
        process.stdin.close()
    except OSError:
        pass  # It has ended.


def source(name: str) -> str:
    """Read a module of ``module_utils``; nothing is executed."""
    return _path(name).read_text(encoding="utf-8")


def _path(name: str) -> Path:
    return _DIRECTORY.joinpath(*name.split(".")).with_suffix(".py")


def python_of(variables: Any) -> str:
    """Name the Python that Ansible uses on a node; nothing is searched where nobody named one."""
    named = str(variables.get("ansible_python_interpreter") or "")
    if named and not named.startswith("auto"):
        return named
    return str((variables.get("ansible_facts") or {}).get("discovered_interpreter_python") or "/usr/bin/python3")


def plain(value: Any) -> Any:
    """Turn Ansible's lazy and tagged values into JSON data."""
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    return str(value) if isinstance(value, str) else value

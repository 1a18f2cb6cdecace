# SPDX-License-Identifier: Apache-2.0
"""A program runs on a Python of our version, and from its source on any other."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes import remote_program

PACKAGE = "ansible_collections.madctl.multinode.plugins.module_utils"
BRAIN = Path(__file__).parents[4] / "plugins/module_utils"
MODULES = [".".join(path.relative_to(BRAIN).with_suffix("").parts) for path in sorted(BRAIN.glob("*/*.py"))]


@pytest.mark.parametrize("same_version", [True, False])
def test_a_program_runs(same_version):
    parts = remote_program.parts("_common.raw_words")
    if not same_version:
        # Whoever took the compiled part in spite of the version would fail on it.
        parts = tuple((name, text, "AAAA", "eJwDAAAAAAE=") for name, text, _, _ in parts)
    program = remote_program.Program("pack", parts, "plain text")
    argv = ["/bin/sh", "-c", f"echo junk of a login script; {program.command(sys.executable)}"]
    done = subprocess.run(argv, input=program.text, capture_output=True)

    assert b'"plain text"' in done.stdout.splitlines()[-1], done.stderr


def imported(tree):
    """Yield the modules of the brain that a tree imports, wherever it does, but for types."""
    waiting = [tree]
    for item in waiting:
        if isinstance(item, ast.If) and ast.unparse(item.test) == "TYPE_CHECKING":
            continue
        waiting += ast.iter_child_nodes(item)
        if isinstance(item, ast.ImportFrom) and (item.module or "").startswith(PACKAGE + "."):
            room = item.module.removeprefix(PACKAGE + ".")
            yield from [room] if "." in room else [f"{room}.{alias.name}" for alias in item.names]


@pytest.mark.parametrize("name", MODULES)
def test_what_a_module_needs_is_read_from_its_text(name):
    text = remote_program.source(name)

    assert sorted(remote_program._imported(text)) == sorted(imported(ast.parse(text)))
    assert set(remote_program.closure(name)) >= {name, *imported(ast.parse(text))}


def test_dependencies_come_first():
    order = remote_program.closure("_arm.arming", "_supervise.supervisor")

    assert len(order) == len(set(order)) > 20
    for at, name in enumerate(order):
        assert set(imported(ast.parse(remote_program.source(name)))) <= set(order[:at])

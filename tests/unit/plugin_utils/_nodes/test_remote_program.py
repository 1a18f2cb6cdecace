# SPDX-License-Identifier: Apache-2.0
"""A program runs on a Python of our version, and from its source on any other."""

import subprocess
import sys

import pytest

from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes import remote_program


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

# SPDX-License-Identifier: Apache-2.0
"""A project whose file says where to run: on real hosts, from a directory below it."""

import json
import sys

import pytest

from tests.integration.command import madctl

pytestmark = pytest.mark.lab


def test_a_launch_needs_no_options_where_a_project_has_them(lab, tmp_path):
    below = tmp_path / "src"
    below.mkdir()
    (tmp_path / "madctl.toml").write_text(
        f'lab = "{lab.name}"\nhosts = "node[1-2]"\nenv = {{ GREETING = "from the project" }}\n'
        f'python = "{sys.executable}"\nchdir = "/"\n'
        '[launch]\ncommand = true\n[status]\noutput = "json"\n'
        '[profile.one]\nhosts = "node3"\n[profile.one.launch]\nenv = ["HELLO"]\n'
    )
    work = ["--", "sh", "-c", 'echo "$GREETING $HELLO"']

    done = madctl("launch", *work, cwd=below)
    assert done.code == 0, done.err
    assert sorted(line for line in done.out.split("\n") if "from the" in line) == [
        f"node{number}      │ from the project " for number in (1, 2)
    ]
    nodes = json.loads(madctl("status", cwd=below).out)["data"]["nodes"]
    assert [node["host"] for node in nodes] == ["node1", "node2"]

    typed = madctl("launch", "--lab", lab.name, "--hosts", "node2", "--env", "GREETING=typed", *work, cwd=below)
    assert "typed" in typed.out
    assert "node1" not in typed.out

    # Where the job would get a variable from here, that file has to be trusted; a profile has its own nodes.
    chosen = ["launch", "--lab", lab.name, "--hosts", "node3", "--profile", "one"]
    refused = madctl(*chosen, *work, cwd=below, env={"HELLO": "swordfish"})
    assert (refused.code, "[SETTINGS_UNTRUSTED]" in refused.err) == (2, True)
    assert madctl("config", "--trust", cwd=below).code == 0
    trusted = madctl(*chosen, *work, cwd=below, env={"HELLO": "swordfish"})
    assert trusted.code == 0, trusted.err
    assert "node3 │ from the project ***" in trusted.out
    assert "madctl.toml:11" in madctl("config", "--profile", "one", cwd=below).out

# SPDX-License-Identifier: Apache-2.0
"""Every role's scenario, as a person types it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCENARIOS = sorted(path.parents[2] for path in ROOT.glob("roles/*/molecule/*/molecule.yml"))


@pytest.mark.lab
@pytest.mark.skipif(os.geteuid() != 0, reason="the lab needs root")
@pytest.mark.parametrize("role", SCENARIOS, ids=[role.name for role in SCENARIOS])
def test_scenario(role):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    argv = [str(Path(sys.executable).with_name("molecule")), "test"]
    done = subprocess.run(argv, cwd=role, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=300)

    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]

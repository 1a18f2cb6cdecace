# SPDX-License-Identifier: Apache-2.0
"""All scenarios of the roles, as a person types it."""

import os
import re
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from madctl.lab import power

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir())
STEPS = {"check", "converge", "idempotence", "verify"}


@pytest.mark.lab
@pytest.mark.skipif(os.geteuid() != 0, reason="the lab needs root")
@pytest.mark.skipif(shutil.which("glusterfsd") is None, reason="not installed: glusterfs-server")
@pytest.mark.skipif(shutil.which("slurmctld") is None, reason="not installed: slurmctld")
@pytest.mark.skipif(
    not (BIN.parent / "collections/ansible_collections/kubernetes/core").is_dir(),
    reason="not installed: the collection kubernetes.core; make kubernetes-core",
)
def test_every_scenario(tmp_path):
    name = f"test-{uuid.uuid4().hex[:8]}"
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    own = {"PATH": path, "MOLECULE_LAB": name, "MOLECULE_EPHEMERAL_DIRECTORY": str(tmp_path), "NO_COLOR": "1"}
    argv = [str(BIN / "molecule"), "test", "--all"]
    try:
        done = subprocess.run(argv, cwd=ROOT, env={**os.environ, **own}, capture_output=True, text=True, timeout=900)
    finally:
        power.down(name)

    report = done.stdout + done.stderr
    passed = set(re.findall(r"(\w+) [➜>] (\w+): Executed: Successful", report))
    assert done.returncode == 0, report[-9000:]
    assert {(role, step) for role in ROLES for step in STEPS} <= passed

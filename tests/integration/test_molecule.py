# SPDX-License-Identifier: Apache-2.0
"""The scenarios of the roles, as a person types it."""

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
ROLES = {path.name for path in (ROOT / "roles").iterdir()}
# Roles that change hosts, or depend on them most. Others run there in other tests, too: alone, or in playbooks.
FIRST = {"net_tools", "network_interface", "shared_storage"}
STEPS = {"check", "converge", "idempotence", "verify"}


@pytest.mark.lab
@pytest.mark.skipif(os.geteuid() != 0, reason="the lab needs root")
@pytest.mark.skipif(shutil.which("glusterfsd") is None, reason="not installed: glusterfs-server")
@pytest.mark.skipif(shutil.which("slurmctld") is None, reason="not installed: slurmctld")
@pytest.mark.skipif(
    not (BIN.parent / "collections/ansible_collections/kubernetes/core").is_dir(),
    reason="not installed: the collection kubernetes.core; make kubernetes-core",
)
@pytest.mark.parametrize("roles", [FIRST, pytest.param(ROLES - FIRST, marks=pytest.mark.long)], ids=["first", "others"])
def test_every_scenario(tmp_path, roles):
    name = f"test-{uuid.uuid4().hex[:8]}"
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    own = {"PATH": path, "MOLECULE_LAB": name, "MOLECULE_EPHEMERAL_DIRECTORY": str(tmp_path), "NO_COLOR": "1"}
    # The first scenario brings up the hosts that all others share.
    argv = [str(BIN / "molecule"), "test", *(word for name in ("default", *sorted(roles)) for word in ("-s", name))]
    try:
        done = subprocess.run(argv, cwd=ROOT, env={**os.environ, **own}, capture_output=True, text=True, timeout=3600)
    finally:
        power.down(name)

    report = done.stdout + done.stderr
    passed = set(re.findall(r"(\w+) [➜>] (\w+): Executed: Successful", report))
    assert done.returncode == 0, report[-9000:]
    assert {(role, step) for role in roles for step in STEPS} <= passed

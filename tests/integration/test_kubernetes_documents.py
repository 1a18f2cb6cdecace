# SPDX-License-Identifier: Apache-2.0
"""
Every command that the page about Kubernetes shows is typed into a shell, as those of other documents are.

Its reader has a stand-in for a cluster, and there the rights of the page's own Role and no other.
"""

import os
import shutil
import tempfile
import uuid
from pathlib import Path

import pytest
import yaml

from madctl.lab import power
from tests.integration.cluster import cluster as stand_in
from tests.integration.command import JOBS
from tests.integration.documents import TRAIN, steps, typed
from tests.integration.reader_shell import BIN, ROOT, ReaderShell

PAGE = ROOT / "docs/how_to/kubernetes.md"
RBAC = ROOT / "docs/how_to/kubernetes/rbac.yml"
CLAIM = "code"
pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="the lab needs root"),
    pytest.mark.skipif(not shutil.which("kubectl"), reason="not installed: kubectl"),
]


def role():
    """Return the Role that the page links to."""
    (found,) = [one for one in yaml.safe_load_all(RBAC.read_text()) if one["kind"] == "Role"]
    return found


@pytest.fixture
def home():
    """Where the reader's files are."""
    directory = Path(tempfile.mkdtemp(dir="/tmp"))
    yield directory / "home"
    shutil.rmtree(directory)


@pytest.fixture
def cluster(monkeypatch):
    """A stand-in for a cluster on three hosts, with a claim that has the script."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    monkeypatch.chdir(JOBS)
    try:
        with stand_in.running(power.up(name, 3, {}), role=role()) as found:
            claim = found.kubelets.claims / CLAIM
            claim.mkdir(mode=0o755)
            (claim / "train.py").write_text(TRAIN)
            yield found
    finally:
        power.down(name)


def test_the_page_can_be_typed(cluster, home):
    with ReaderShell(home, {"XDG_STATE_HOME": str(home / ".state")}) as desk:
        (home / "train.py").write_text(TRAIN)
        (home / ".kube").mkdir()
        shutil.copy(cluster.kubeconfig, home / ".kube/config")
        code, printed = desk.type(f"unset KUBECONFIG && export PATH={BIN}:$PATH")
        assert code == 0, printed
        for step in steps(PAGE):
            typed(desk, PAGE, step)

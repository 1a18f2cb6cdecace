# SPDX-License-Identifier: Apache-2.0
"""A cluster that is not one: bring it up on hosts of a lab, take it down, and make it fail on purpose."""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from madctl.lab import mounts
from madctl.lab.spec import Lab
from tests.integration.cluster import certificate
from tests.integration.cluster.api_server import ApiServer
from tests.integration.cluster.faults import Faults
from tests.integration.cluster.job_controller import JobController
from tests.integration.cluster.kubelet import Kubelets
from tests.integration.cluster.pod_worker import Image
from tests.integration.cluster.requests import Requests
from tests.integration.cluster.rights import Rights
from tests.integration.cluster.status import KINDS
from tests.integration.cluster.store import Store

Object = dict[str, Any]
VERSION = "1.32"
IMAGE_PATH = f"{Path(sys.executable).parent}:/usr/bin:/bin"


class Cluster(Faults):
    """A running stand-in, and its faults: each method is one."""

    def __init__(self, lab: Lab, directory: Path, namespace: str, kubelets: Kubelets, version: str, rights: Rights):
        self.lab, self.namespace, self._directory = lab, namespace, directory
        self.kubelets, self.store = kubelets, kubelets.store
        self.requests = Requests(self.store, version, kubelets.log_of, rights)
        self.controller = JobController(self.store, partial(self.requests.over_quota, KINDS["pods"]))
        for name in ("default", namespace):
            if self.store.find("namespaces", "", name) is None:
                self.store.create("namespaces", {"metadata": {"name": name}, "status": {"phase": "Active"}})
        authority = certificate.write(directory)
        self.server = ApiServer(self.requests, certificate.context(directory))
        self.kubelets.thread.start()
        self.controller.thread.start()
        self.kubeconfig = str(directory / "kubeconfig")
        Path(self.kubeconfig).write_text(yaml.safe_dump(self._kubeconfig(authority)))
        os.chmod(self.kubeconfig, 0o600)

    def _kubeconfig(self, authority: Path) -> Object:
        where = {
            "server": f"https://127.0.0.1:{self.server.port}",
            "certificate-authority-data": base64.b64encode(authority.read_bytes()).decode(),
        }
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "stand-in",
            "clusters": [{"name": "stand-in", "cluster": where}],
            "users": [{"name": "alice", "user": {"token": self.requests.rights.token}}],
            "contexts": [
                {"name": "stand-in", "context": {"cluster": "stand-in", "user": "alice", "namespace": self.namespace}}
            ],
        }

    def stop(self) -> None:
        """End all of it."""
        self.store.close()
        self.server.close()
        self.controller.thread.join(10)
        self.kubelets.stop()


@contextlib.contextmanager
def running(
    lab: Lab,
    namespace: str = "train",
    path: str = IMAGE_PATH,
    pods_per_host: int = 1,
    version: str = VERSION,
    role: Object | None = None,
) -> Iterator[Cluster]:
    """
    Run a stand-in for a cluster on the hosts of a lab until the context ends.

    Args:
        path: PATH of every image: where a pod finds ``python3``.
        version: Which Kubernetes it says that it is, and whose schemas it validates by.
        role: The Role of the user; without one, they may do all.
    """
    directory = Path(tempfile.mkdtemp(prefix="cluster-"))
    binds = tuple(bind for bind in mounts.binds(lab) if bind[0] != lab.shared)
    cluster = None
    try:
        kubelets = Kubelets(Store(), list(lab.hosts), directory, Image(path, binds), pods_per_host)
        rights = Rights(f"system:serviceaccount:{namespace}:alice", role)
        cluster = Cluster(lab, directory, namespace, kubelets, version, rights)
        yield cluster
        assert cluster.requests.failures == []
    finally:
        if cluster is not None:
            cluster.stop()
        shutil.rmtree(directory)

# SPDX-License-Identifier: Apache-2.0
"""Run the stand-in for a cluster on hosts of a lab until a signal; write its kubeconfig, and its pid beside that."""

import os
import signal
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT))

import yaml  # noqa: E402

from madctl.lab import state  # noqa: E402
from tests.integration.cluster import cluster  # noqa: E402


def main() -> None:
    """Run it."""
    os.chdir(ROOT)
    # Threads that it starts leave the signal to this one.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    role, _ = yaml.safe_load_all((ROOT / "docs/how_to/kubernetes/rbac.yml").read_text())
    lab, kubeconfig = state.load(sys.argv[1]), Path(sys.argv[2])
    with cluster.running(lab, role=role) as found:
        pid = kubeconfig.with_suffix(".pid")
        pid.write_text(str(os.getpid()))
        kubeconfig.symlink_to(found.kubeconfig)
        signal.sigwait({signal.SIGTERM})
        kubeconfig.unlink()
    pid.unlink()


main()
